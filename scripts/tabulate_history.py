"""Rule tabulate_history."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.names import Cell
    from shadowmill.tables.history import tabulate

    tabulate(
        Cell(**snakemake.params.cell),
        model_paths=snakemake.input.models,
        output=snakemake.output[0],
    )
