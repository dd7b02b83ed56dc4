"""Rule dataset."""

from pathlib import Path

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.data.store import prepare

    name, folders = snakemake.wildcards.dataset, snakemake.config["data"]
    folder = Path(folders["roots"].get(name, folders["root"])).expanduser()
    prepare(name, folder, snakemake.output[0])
