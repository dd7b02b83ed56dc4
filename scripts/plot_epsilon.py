"""Rule plot_epsilon."""

from shadowmill.figures.curvature import plot_epsilon
from shadowmill.jobs import job

with job(snakemake.log[0]):
    plot_epsilon(snakemake.input.membership, snakemake.params.attacks, snakemake.output)
