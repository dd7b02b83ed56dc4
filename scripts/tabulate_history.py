"""Rule tabulate_history."""

from shadowmill.jobs import job
from shadowmill.names import Cell
from shadowmill.tables.history import tabulate

with job(snakemake.log[0]):
    tabulate(
        Cell(**snakemake.params.cell),
        model_paths=snakemake.input.models,
        output=snakemake.output[0],
    )
