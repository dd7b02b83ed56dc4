"""Rule plot_heatmap."""

from shadowmill.figures.heatmap import plot
from shadowmill.jobs import job

with job(snakemake.log[0]):
    plot(snakemake.input.membership, snakemake.output)
