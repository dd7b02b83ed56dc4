"""Rule plot_attacks."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.config import Cell
    from shadowmill.figures.attacks import plot

    plot(
        Cell(**snakemake.params.cell),
        attack_paths=dict(zip(snakemake.params.attacks, snakemake.input.attacks, strict=True)),
        outputs=snakemake.output,
    )
