"""Rule tabulate_history."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.config import Cell
    from shadowmill.tables.history import tabulate

    tabulate(
        Cell(**snakemake.params.cell),
        model_paths=snakemake.input.models,
        output=snakemake.output[0],
    )
