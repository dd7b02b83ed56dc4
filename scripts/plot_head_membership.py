"""Rule plot_head_membership."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.reconstruction import plot_membership

    plot_membership(snakemake.input.membership, snakemake.input.reconstructions, snakemake.output)
