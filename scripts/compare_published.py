"""Rule reproduce."""

from pathlib import Path

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables.reproduction import tabulate

    tabulate(
        snakemake.params.published,
        {Path(path).parents[1].name: path for path in snakemake.params.membership},
        "results/reproduction.csv",
    )
