"""Rule tabulate_privacy."""

from shadowmill.jobs import job
from shadowmill.tables.privacy import tabulate

with job(snakemake.log[0]):
    tabulate(snakemake.params.published, snakemake.output[0])
