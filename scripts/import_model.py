"""Rule import_target."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.imports.model import import_model
    from shadowmill.training.networks import Network

    given = snakemake.params.given
    import_model(
        data_path=snakemake.input.data,
        roles_path=snakemake.input.roles,
        file=snakemake.input.file,
        trust=given["trust"],
        moments={key: given[key] for key in ("mean", "std") if key in given},
        output=snakemake.output[0],
        settings=snakemake.params.settings,
        network=Network.of(
            snakemake.config["architectures"],
            snakemake.wildcards.architecture,
            snakemake.params.network,
            snakemake.input.facts,
        ),
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
