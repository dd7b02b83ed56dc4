"""Rule join_table."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables import concatenate

    concatenate(snakemake.input, snakemake.output[0])
