"""Rule plot_roc."""

from shadowmill.figures.roc import plot
from shadowmill.jobs import job
from shadowmill.names import Cell

with job(snakemake.log[0]):
    cells = [Cell(snakemake.wildcards.study, *path) for path in snakemake.params.cells]
    plot(
        attack=snakemake.params.attack,
        attack_paths=dict(zip(cells, snakemake.input.attacks, strict=True)),
        outputs=snakemake.output,
        health_path=snakemake.input.health,
    )
