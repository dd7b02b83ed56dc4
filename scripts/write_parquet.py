"""Rule write_parquet."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables.examples import write_parquet

    write_parquet(snakemake.input.examples, snakemake.output[0])
