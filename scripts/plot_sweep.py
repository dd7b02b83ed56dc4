"""Rule plot_sweep."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.reconstruction import plot_sweep

    plot_sweep(snakemake.input.table, snakemake.params.parameter, snakemake.output)
