"""Rule plot_exposure."""

from shadowmill.figures.exposure import plot
from shadowmill.jobs import job

with job(snakemake.log[0]):
    plot(snakemake.input.examples, snakemake.output)
