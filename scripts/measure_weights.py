"""Rule weight_statistics."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.reconstruction.statistics import weight_statistics

    weight_statistics(
        shards=snakemake.input.shards,
        features_path=snakemake.input.features,
        output=snakemake.output[0],
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
