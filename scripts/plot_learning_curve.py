"""Rule plot_learning_curve."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.reconstruction import plot_learning_curve

    plot_learning_curve(snakemake.input.curve, snakemake.output)
