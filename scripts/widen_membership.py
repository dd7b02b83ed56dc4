"""Rule widen_membership."""

from shadowmill.jobs import job
from shadowmill.tables.comprehensive import tabulate

with job(snakemake.log[0]):
    tabulate(snakemake.input.membership, snakemake.output[0])
