"""Rule join_classes."""

from shadowmill.jobs import job
from shadowmill.tables.per_class import join

with job(snakemake.log[0]):
    join(snakemake.input, snakemake.output[0])
