"""Rule plot_counts."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.shadow_counts import plot

    plot(snakemake.input.counts, snakemake.params.attacks, snakemake.output)
