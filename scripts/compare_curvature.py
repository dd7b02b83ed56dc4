"""Rule compare_curvature."""

from pathlib import Path

from shadowmill.jobs import job

with job(snakemake.log[0]):
    import yaml

    from shadowmill.tables.curvature import compare

    published = yaml.safe_load(Path(snakemake.params.published).read_text(encoding="utf-8"))
    compare(
        snakemake.input.membership,
        published.get(snakemake.wildcards.study, {}),
        snakemake.output.csv,
        snakemake.output.latex,
    )
