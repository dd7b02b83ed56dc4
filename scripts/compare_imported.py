"""Rule compare_imported."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.tables.imported import tabulate

    tabulate(snakemake.input.training, snakemake.output[0])
