"""Rule plot_exposure."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.exposure import plot

    plot(snakemake.input.examples, snakemake.output)
