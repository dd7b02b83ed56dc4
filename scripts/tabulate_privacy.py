"""Rule tabulate_privacy."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.tables.privacy import tabulate

    tabulate(f"{snakemake.scriptdir}/../rules/published_epsilon.yaml", snakemake.output[0])
