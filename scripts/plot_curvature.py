"""Rule plot_curvature."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.config import Cell
    from shadowmill.figures.curvature import plot_histograms

    plot_histograms(
        Cell(**snakemake.params.cell),
        snakemake.input.scores,
        snakemake.params.estimator,
        snakemake.output,
    )
