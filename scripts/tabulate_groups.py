"""Rule tabulate_groups."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.names import Cell
    from shadowmill.tables.groups import tabulate

    tabulate(
        Cell(**snakemake.params.cell),
        attack=snakemake.params.attack,
        data_path=snakemake.input.data,
        attack_path=snakemake.input.attack[0],
        output=snakemake.output[0],
    )
