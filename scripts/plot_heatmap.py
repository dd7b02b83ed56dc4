"""Rule plot_heatmap."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.heatmap import plot

    plot(snakemake.input.membership, snakemake.output)
