"""Rule reconstruct."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.reconstruction.evaluation.reconstruct import reconstruct

    reconstruct(
        data_path=snakemake.input.data,
        features_path=snakemake.input.features,
        shard=snakemake.input.shard[0],
        train_data_path=snakemake.input.train_data,
        statistics_path=snakemake.input.statistics,
        reconstructor_path=snakemake.input.reconstructor,
        output=snakemake.output[0],
        sets=snakemake.params.sets,
        train_sets=snakemake.params.train_sets,
        nearest_quantile=snakemake.params.nearest_quantile,
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
