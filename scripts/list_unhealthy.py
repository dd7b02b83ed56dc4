"""Rule list_unhealthy."""

from shadowmill.jobs import job
from shadowmill.tables.health import tabulate

with job(snakemake.log[0]):
    tabulate(snakemake.input.training, snakemake.output[0])
