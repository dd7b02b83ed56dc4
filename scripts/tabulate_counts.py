"""Rule tabulate_counts."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.config import Cell
    from shadowmill.tables.shadow_counts import tabulate

    tabulate(
        Cell(**snakemake.params.cell),
        attacks=snakemake.params.attacks,
        target_scores=snakemake.input.target_scores,
        shadow_scores=snakemake.input.shadow_scores,
        output=snakemake.output[0],
    )
