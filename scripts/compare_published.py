"""Rule reproduce."""

from pathlib import Path

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.tables.reproduction import tabulate

    tabulate(
        f"{snakemake.scriptdir}/../rules/published.yaml",
        {Path(path).parents[1].name: path for path in snakemake.params.membership},
        "results/reproduction.csv",
    )
