"""Rule compare_variants."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.config import Cell
    from shadowmill.tables.paired import tabulate

    cells = [Cell(snakemake.wildcards.study, *path) for path in snakemake.params.cells]
    tabulate(
        cells,
        attack=snakemake.params.attack,
        attack_paths=snakemake.input.attacks,
        output=snakemake.output[0],
    )
