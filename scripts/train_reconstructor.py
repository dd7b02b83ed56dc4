"""Rule train_reconstructor."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.reconstruction.reconstructor.training import LearningFiles, train_reconstructor

    train_reconstructor(
        files=LearningFiles(
            data=snakemake.input.data,
            features=snakemake.input.features,
            shards=snakemake.input.shards,
            validation_shard=snakemake.input.validation_shard[0],
            statistics=snakemake.input.statistics,
        ),
        settings={
            "sets": snakemake.params.sets,
            "heads": snakemake.params.heads,
            "reconstructor": snakemake.params.reconstructor,
        },
        output=snakemake.output.model,
        curve_output=snakemake.output.curve,
        state_folder=snakemake.params.state,
        title=f"{snakemake.wildcards.reconstruction}, {snakemake.wildcards.setting}",
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
