"""Rule plot_accuracy."""

from shadowmill.figures.curves import plot_accuracy
from shadowmill.jobs import job

with job(snakemake.log[0]):
    plot_accuracy(snakemake.input.training, snakemake.output)
