"""Rule plot_curvature."""

from shadowmill.figures.curvature import plot_histograms
from shadowmill.jobs import job
from shadowmill.names import Cell

with job(snakemake.log[0]):
    plot_histograms(
        Cell(**snakemake.params.cell),
        snakemake.input.scores,
        snakemake.params.estimator,
        snakemake.output,
    )
