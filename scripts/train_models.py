"""Rules train_target and train_shadows_*."""

from pathlib import Path

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.training.block import train_block
    from shadowmill.training.networks import Network

    train_block(
        data_path=snakemake.input.data,
        roles_path=snakemake.input.roles,
        initial={Path(path).stem: path for path in snakemake.input.initial},
        outputs={Path(path).stem: path for path in snakemake.output},
        keys=snakemake.params.model_keys,
        settings=snakemake.params.settings,
        state_folder=snakemake.params.state,
        title=snakemake.wildcards.variant,
        network=Network.of(
            snakemake.config["architectures"],
            snakemake.wildcards.architecture,
            snakemake.params.network,
            snakemake.input.facts,
        ),
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
