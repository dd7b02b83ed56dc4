"""Rule roles."""

from shadowmill.jobs import job
from shadowmill.roles import draw

with job(snakemake.log[0]):
    draw(
        snakemake.output[0],
        models=snakemake.params.model_keys,
        num_examples=snakemake.params.pool_size,
        seed=snakemake.params.seed,
    )
