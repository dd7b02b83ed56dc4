"""Rule plot_tradeoff."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.curves import plot_tradeoff

    plot_tradeoff(
        snakemake.input.training,
        snakemake.input.membership,
        snakemake.params.attack,
        snakemake.output,
    )
