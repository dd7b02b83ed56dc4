"""Rule tabulate_privacy."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables.privacy import tabulate

    tabulate(snakemake.params.published, snakemake.output[0])
