"""Rule compare_curvature."""

from pathlib import Path

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    import yaml

    from shadowmill.tables.curvature import compare

    path = Path(snakemake.scriptdir, "../rules/published_curvature.yaml")
    published = yaml.safe_load(path.read_text(encoding="utf-8"))
    compare(
        snakemake.input.membership,
        published.get(snakemake.wildcards.study, {}),
        snakemake.output.csv,
        snakemake.output.latex,
    )
