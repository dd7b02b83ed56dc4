"""Rule compare_curvature."""

from pathlib import Path

import yaml

from shadowmill.jobs import job
from shadowmill.tables.curvature import compare

with job(snakemake.log[0]):
    published = yaml.safe_load(Path(snakemake.params.published).read_text(encoding="utf-8"))
    compare(
        snakemake.input.membership,
        published.get(snakemake.wildcards.study, {}),
        snakemake.output.csv,
        snakemake.output.latex,
    )
