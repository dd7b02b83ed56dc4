"""Rule plot_classes."""

from pathlib import Path

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.figures.classes import plot

    plot(
        snakemake.input.classes,
        {Path(path).stem: path for path in snakemake.input.data},
        snakemake.output,
    )
