"""Rule write_parquet."""

from shadowmill.jobs import job
from shadowmill.tables.examples import write_parquet

with job(snakemake.log[0]):
    write_parquet(snakemake.input.examples, snakemake.output[0])
