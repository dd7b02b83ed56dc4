"""Rule compare_attacks."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.config import Cell
    from shadowmill.tables.paired import tabulate_attacks

    tabulate_attacks(
        [Cell(*parts) for parts in snakemake.params.cells],
        snakemake.params.pairs,
        snakemake.input.attacks,
        snakemake.output[0],
    )
