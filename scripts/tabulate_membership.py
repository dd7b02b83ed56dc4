"""Rule tabulate_membership."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.names import Cell
    from shadowmill.tables.membership import tabulate

    tabulate(
        Cell(**snakemake.params.cell),
        attack=snakemake.wildcards.attack,
        attack_path=snakemake.input.attack,
        output=snakemake.output[0],
        of_groups=snakemake.params.of_groups,
    )
