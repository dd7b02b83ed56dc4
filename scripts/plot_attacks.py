"""Rule plot_attacks."""

from shadowmill.figures.attacks import plot
from shadowmill.jobs import job
from shadowmill.names import Cell

with job(snakemake.log[0]):
    plot(
        Cell(**snakemake.params.cell),
        attack_paths=dict(zip(snakemake.params.attacks, snakemake.input.attacks, strict=True)),
        outputs=snakemake.output,
    )
