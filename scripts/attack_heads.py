"""Rule head_membership."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.reconstruction.evaluation.membership import head_membership

    head_membership(
        shards=snakemake.input.shards,
        features_path=snakemake.input.features,
        output=snakemake.output[0],
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
