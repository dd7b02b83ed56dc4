"""Rule backbone."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.reconstruction.backbones.training import pretrain

    pretrain(
        data_path=snakemake.input.data,
        output=snakemake.output[0],
        settings=snakemake.params.settings,
        state_folder=snakemake.params.state,
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
