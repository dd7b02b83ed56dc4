"""Rule roles."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.data.store import groups, num_examples
    from shadowmill.roles import draw

    params, number = snakemake.params, snakemake.params.num_examples
    found = None
    if number is None:
        number = num_examples(snakemake.input[0], params.protocol)
        found = groups(snakemake.input[0], number)
    draw(
        snakemake.output[0],
        models=params.model_keys,
        num_examples=number,
        group_N=None if found is None else found[1],
        seed=params.seed,
        protocol=params.protocol,
        validation=params.validation,
        order_path=params.order,
    )
