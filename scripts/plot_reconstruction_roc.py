"""Rule plot_reconstruction_roc."""

from shadowmill.figures.reconstruction import plot_roc
from shadowmill.jobs import job

with job(snakemake.log[0]):
    plot_roc(snakemake.input.reconstructions, snakemake.output)
