"""Rule check_network."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.jobs import tell
    from shadowmill.training.networks import Network, check_network

    notes = check_network(
        data_path=snakemake.input.data,
        variant=snakemake.wildcards.variant,
        training=snakemake.params.training,
        network=Network.of(
            snakemake.config["architectures"],
            snakemake.wildcards.architecture,
            snakemake.params.network,
        ),
        output=snakemake.output[0],
    )
    tell(f"{snakemake.wildcards.architecture}: what to know of this network", notes)
