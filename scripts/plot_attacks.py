"""Rule plot_attacks."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.figures.attacks import plot
    from shadowmill.names import Cell

    plot(
        Cell(**snakemake.params.cell),
        attack_paths=dict(zip(snakemake.params.attacks, snakemake.input.attacks, strict=True)),
        outputs=snakemake.output,
    )
