"""Rule score_block."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.scores.score import score_block
    from shadowmill.training.networks import Network

    score_block(
        data_path=snakemake.input.data,
        roles_path=snakemake.input.roles,
        models=dict(zip(snakemake.params.models, snakemake.input.models, strict=True)),
        output=snakemake.output[0],
        settings=snakemake.params.settings,
        training=snakemake.params.training,
        network=Network.of(
            snakemake.config["architectures"],
            snakemake.wildcards.architecture,
            snakemake.params.network,
            snakemake.input.facts,
        ),
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
