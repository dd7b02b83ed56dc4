"""Rule dataset."""

from shadowmill.data.store import prepare
from shadowmill.jobs import job

with job(snakemake.log[0]):
    name, folders = snakemake.wildcards.dataset, snakemake.config["data"]
    prepare(name, folders["roots"].get(name, folders["root"]), snakemake.output[0])
