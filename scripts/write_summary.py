"""Rule write_summary."""

from shadowmill.jobs import job
from shadowmill.tables.latex import tabulate

with job(snakemake.log[0]):
    tabulate(snakemake.input.training, snakemake.input.membership, snakemake.output[0])
