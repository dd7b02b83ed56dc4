"""Rule plot_epsilon."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.curvature import plot_epsilon

    plot_epsilon(snakemake.input.membership, snakemake.params.attacks, snakemake.output)
