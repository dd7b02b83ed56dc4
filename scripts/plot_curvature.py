"""Rule plot_curvature."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.figures.curvature import plot_histograms
    from shadowmill.names import Cell

    plot_histograms(
        Cell(**snakemake.params.cell),
        snakemake.input.scores,
        snakemake.params.estimator,
        snakemake.output,
    )
