"""Rule plot_reconstruction_roc."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.reconstruction import plot_roc

    plot_roc(snakemake.input.reconstructions, snakemake.output)
