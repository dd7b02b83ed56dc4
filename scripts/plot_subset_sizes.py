"""Rule plot_subset_sizes."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.curvature import plot_subset_sizes

    plot_subset_sizes(snakemake.input.membership, snakemake.params.attacks, snakemake.output)
