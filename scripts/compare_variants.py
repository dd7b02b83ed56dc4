"""Rule compare_variants."""

from shadowmill.jobs import job
from shadowmill.names import Cell
from shadowmill.tables.paired import tabulate

with job(snakemake.log[0]):
    cells = [Cell(snakemake.wildcards.study, *path) for path in snakemake.params.cells]
    tabulate(
        cells,
        attack=snakemake.params.attack,
        attack_paths=snakemake.input.attacks,
        output=snakemake.output[0],
    )
