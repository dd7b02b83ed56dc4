"""Rule plot_min_mse."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.reconstruction import plot_min_mse

    plot_min_mse(snakemake.input.reconstructions, snakemake.params.thresholds, snakemake.output)
