"""Rule compare_attacks."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.names import Cell
    from shadowmill.tables.paired import tabulate_attacks

    tabulate_attacks(
        [Cell(snakemake.wildcards.study, *path) for path in snakemake.params.cells],
        snakemake.params.pairs,
        snakemake.input.attacks,
        snakemake.output[0],
    )
