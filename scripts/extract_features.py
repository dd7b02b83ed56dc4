"""Rule deep_features."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.reconstruction.features import extract

    extract(
        data_path=snakemake.input.data,
        backbone_path=snakemake.input.backbone,
        settings=snakemake.params.settings,
        output=snakemake.output[0],
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
