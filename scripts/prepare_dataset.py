"""Rules dataset and dataset_again."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.data.listing import folder_of
    from shadowmill.data.store import prepare_and_record

    name = snakemake.wildcards.dataset
    prepare_and_record(
        name,
        folder_of(name, snakemake.config["data"]),
        snakemake.output[0],
        record_path=snakemake.params.record,
        planned=snakemake.params.listing,
    )
