"""Rule plot_head_membership."""

from shadowmill.figures.reconstruction import plot_membership
from shadowmill.jobs import job

with job(snakemake.log[0]):
    plot_membership(snakemake.input.membership, snakemake.input.reconstructions, snakemake.output)
