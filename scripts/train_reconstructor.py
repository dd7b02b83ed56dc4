"""Rule train_reconstructor."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.reconstruction.reconstructor import train_reconstructor

    train_reconstructor(
        data_path=snakemake.input.data,
        features_path=snakemake.input.features,
        shards=snakemake.input.shards,
        validation_shard=snakemake.input.validation_shard[0],
        statistics_path=snakemake.input.statistics,
        output=snakemake.output.model,
        curve_output=snakemake.output.curve,
        sets=snakemake.params.sets,
        heads=snakemake.params.heads,
        reconstructor=snakemake.params.reconstructor,
        state_folder=snakemake.params.state,
        title=f"{snakemake.wildcards.reconstruction}, {snakemake.wildcards.setting}",
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
