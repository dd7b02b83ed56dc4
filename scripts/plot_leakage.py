"""Rule plot_leakage."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.curves import plot_leakage

    plot_leakage(snakemake.input.membership, snakemake.params.attack, snakemake.output)
