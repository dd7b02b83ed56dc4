"""Rule plot_accuracy."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.curves import plot_accuracy

    plot_accuracy(snakemake.input.training, snakemake.output)
