"""Rule order_by_curvature."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables.curvature import mean_curvature

    mean_curvature(snakemake.input.scores, snakemake.params.estimator, snakemake.output[0])
