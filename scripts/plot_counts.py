"""Rule plot_counts."""

from shadowmill.figures.shadow_counts import plot
from shadowmill.jobs import job

with job(snakemake.log[0]):
    plot(snakemake.input.counts, snakemake.params.attacks, snakemake.output)
