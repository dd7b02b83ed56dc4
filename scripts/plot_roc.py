"""Rule plot_roc."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.config import Cell
    from shadowmill.figures.roc import plot

    cells = [Cell(snakemake.wildcards.study, *path) for path in snakemake.params.cells]
    plot(
        attack=snakemake.params.attack,
        attack_paths=dict(zip(cells, snakemake.input.attacks, strict=True)),
        outputs=snakemake.output,
        health_path=snakemake.input.health,
    )
