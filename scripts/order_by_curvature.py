"""Rule order_by_curvature."""

from shadowmill.jobs import job
from shadowmill.tables.curvature import mean_curvature

with job(snakemake.log[0]):
    mean_curvature(snakemake.input.scores, snakemake.params.estimator, snakemake.output[0])
