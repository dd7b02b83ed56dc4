# Shadowmill: membership-inference audits of neural networks, from training to figures.
#
# Targets: the name of any study in workflow_config.yaml; models, scores, attacks, tables, figures
# (of the studies under `build`); or any file below results/.

from snakemake.utils import min_version

min_version("9.27.0")


report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/reconstruction_files.smk"
include: "rules/products.smk"
include: "rules/code.smk"
include: "rules/data_files.smk"


rule all:
    """Everything of the studies listed under `build`."""
    input:
        everything("tables", "figures"),


include: "rules/data.smk"
include: "rules/training.smk"
include: "rules/imports.smk"
include: "rules/scores.smk"
include: "rules/attacks.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/reconstruction.smk"
include: "rules/curvature.smk"
include: "rules/reproduce.smk"
include: "rules/targets.smk"
include: "rules/requested.smk"


onstart:
    with users_mistakes():
        require_writable("results")
    watch_slurm(workflow)
