"""Rule deep_features."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.reconstruction.features import extract

    extract(
        data_path=snakemake.input.data,
        backbone_path=snakemake.input.backbone,
        output=snakemake.output[0],
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
