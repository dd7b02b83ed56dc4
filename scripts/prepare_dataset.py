"""Rules dataset and dataset_again."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.data.listing import folder_of
    from shadowmill.data.own import rows
    from shadowmill.data.store import prepare_and_record
    from shadowmill.jobs import tell

    entry = rows(snakemake.config)[snakemake.wildcards.dataset]
    notes = prepare_and_record(
        entry,
        folder_of(entry, snakemake.config["data"]),
        snakemake.output[0],
        record_path=snakemake.params.record,
        planned=snakemake.params.listing,
    )
    tell(f"{entry.name}: what to know of these data", notes)
