"""Rule tabulate_vulnerable."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.names import Cell
    from shadowmill.tables.vulnerable import tabulate

    tabulate(
        Cell(**snakemake.params.cell),
        snakemake.params.attack,
        snakemake.input.scores,
        snakemake.output[0],
    )
