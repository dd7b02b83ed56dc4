"""Rule join_table."""

from shadowmill.jobs import job
from shadowmill.tables import concatenate

with job(snakemake.log[0]):
    concatenate(snakemake.input, snakemake.output[0])
