"""Rule weight_statistics."""

from shadowmill.jobs import job
from shadowmill.reconstruction.statistics import weight_statistics

with job(snakemake.log[0]):
    weight_statistics(
        shards=snakemake.input.shards,
        features_path=snakemake.input.features,
        output=snakemake.output[0],
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
