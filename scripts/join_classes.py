"""Rule join_classes."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.tables.per_class import join

    join(snakemake.input, snakemake.output[0])
