"""Rule head_membership."""

from shadowmill.jobs import job
from shadowmill.reconstruction.membership import head_membership

with job(snakemake.log[0]):
    head_membership(
        shards=snakemake.input.shards,
        features_path=snakemake.input.features,
        output=snakemake.output[0],
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
