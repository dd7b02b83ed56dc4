"""Rule write_summary."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables.latex import tabulate

    tabulate(snakemake.input.training, snakemake.input.membership, snakemake.output[0])
