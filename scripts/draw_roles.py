"""Rule roles."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.data.store import groups, ids, num_examples
    from shadowmill.roles import draw
    from shadowmill.roles.given import read_given

    params, number = snakemake.params, snakemake.params.num_examples
    found, given = None, None
    if number is None:
        data = snakemake.input.data[0]
        number = num_examples(data, params.protocol)
        if params.given:
            whole = num_examples(data, "disjoint")
            belonging = groups(data, whole)
            given, number = read_given(
                params.given, number, whole, ids(data), belonging and belonging[1]
            )
        found = groups(data, number)
    draw(
        snakemake.output[0],
        models=params.model_keys,
        num_examples=number,
        group_N=None if found is None else found[1],
        seed=params.seed,
        protocol=params.protocol,
        validation=params.validation,
        **{f"{kind}_path": path for kind, path in params.order.items()},
        given=given,
    )
