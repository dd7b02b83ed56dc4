"""Rule tabulate_reconstruction."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables.reconstruction import tabulate

    tabulate(
        snakemake.input[0],
        snakemake.params.thresholds,
        snakemake.output[0],
        study=snakemake.wildcards.reconstruction,
        setting=snakemake.wildcards.setting,
        parameter=snakemake.params.parameter,
        value=snakemake.params.value,
        dataset=snakemake.params.tested,
        task=snakemake.params.task,
    )
