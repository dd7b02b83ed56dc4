"""Rule tabulate_training."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.config import Cell
    from shadowmill.tables.training import tabulate

    tabulate(
        Cell(**snakemake.params.cell),
        score_paths=snakemake.input.scores,
        output=snakemake.output[0],
    )
