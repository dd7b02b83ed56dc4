"""Rule widen_membership."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables.comprehensive import tabulate

    tabulate(snakemake.input.membership, snakemake.output[0])
