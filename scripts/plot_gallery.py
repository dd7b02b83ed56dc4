"""Rule plot_gallery."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.gallery import plot_gallery

    plot_gallery(snakemake.input.reconstructions, snakemake.output)
