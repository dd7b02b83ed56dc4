"""Rule plot_curvature_examples."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.curvature import plot_extremes

    plot_extremes(
        snakemake.input.data,
        snakemake.input.scores,
        snakemake.params.estimator,
        snakemake.output,
    )
