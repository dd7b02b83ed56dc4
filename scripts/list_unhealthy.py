"""Rule list_unhealthy."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables.health import tabulate

    tabulate(snakemake.input.training, snakemake.output[0])
