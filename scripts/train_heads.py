"""Rule train_heads."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.reconstruction.heads.shards import train_shard

    train_shard(
        data_path=snakemake.input.data,
        features_path=snakemake.input.features,
        **snakemake.params.shard,
        output=snakemake.output[0],
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
