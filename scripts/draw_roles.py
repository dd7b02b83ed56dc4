"""Rule roles."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.data.store import num_examples
    from shadowmill.roles import draw

    params = snakemake.params
    draw(
        snakemake.output[0],
        models=params.model_keys,
        num_examples=params.num_examples or num_examples(snakemake.input[0], params.protocol),
        seed=params.seed,
        protocol=params.protocol,
        validation=params.validation,
        order_path=params.order,
    )
