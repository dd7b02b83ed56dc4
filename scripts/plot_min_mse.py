"""Rule plot_min_mse."""

from shadowmill.figures.reconstruction import plot_min_mse
from shadowmill.jobs import job

with job(snakemake.log[0]):
    plot_min_mse(snakemake.input.reconstructions, snakemake.params.thresholds, snakemake.output)
