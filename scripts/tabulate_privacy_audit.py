"""Rule tabulate_privacy_audit."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.names import Cell
    from shadowmill.tables.privacy_audit import tabulate

    tabulate(
        Cell(**snakemake.params.cell),
        snakemake.input.target_scores,
        snakemake.input.shadow_scores,
        snakemake.params.own,
        snakemake.params.delta,
        snakemake.output[0],
    )
