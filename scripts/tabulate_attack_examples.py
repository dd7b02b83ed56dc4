"""Rule tabulate_attack_examples."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.names import Cell
    from shadowmill.tables.attack_examples import tabulate

    tabulate(
        Cell(**snakemake.params.cell),
        dict(zip(snakemake.params.attacks, snakemake.input.attacks, strict=True)),
        snakemake.output[0],
    )
