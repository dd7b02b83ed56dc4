# What all rules share: the validated configuration, and lists of file names.
# The experiment grid itself is in scripts/shadowmill/config.

import os
import re
import sys
from contextlib import contextmanager

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# Jobs and this file use the package of this checkout, whatever else is installed.
SCRIPTS = f"{workflow.basedir}/scripts"
sys.path.insert(0, SCRIPTS)
os.environ.update(
    PYTHONPATH=":".join(
        [f"{SCRIPTS}/python_start", SCRIPTS, os.environ.get("PYTHONPATH", "")]
    ).rstrip(":")
)

from shadowmill.attacks import ATTACKS, NETWORK_ATTACKS
from shadowmill.config import load, require_free_names
from shadowmill.config.written import require_text
from shadowmill.data import DATASETS
from shadowmill.errors import ShadowmillError
from shadowmill.names import shadow_names
from shadowmill.scores import SCORES_VERSION
from shadowmill.storage import require_writable
from shadowmill.training import TRAINING_VERSION
from shadowmill_driver.failures import show_failures
from shadowmill_driver.interrupts import end_quietly
from shadowmill_driver.slurm import use_our_commands, watch_slurm

end_quietly()
show_failures(workflow)
use_our_commands(workflow.basedir)


@contextmanager
def users_mistakes():
    """Show a user's mistake as its message alone."""
    try:
        yield
    except ShadowmillError as error:
        raise WorkflowError(str(error)) from None


@contextmanager
def mistakes_while_planning():
    """The same in what rules ask functions for, whose exceptions get a traceback."""
    try:
        yield
    except ShadowmillError as error:
        logger.error(str(error))
        sys.exit(1)


with users_mistakes():
    require_text("workflow_config.yaml")


configfile: "workflow_config.yaml"


with users_mistakes():
    CONFIG = load(config, workflow.configfiles)

STUDIES = CONFIG.studies
BUILT = [STUDIES[name] for name in CONFIG.build if name in STUDIES]
CELL = "results/{study}/{dataset}/{architecture}/{variant}"
LOGS = CELL.replace("results", "results/logs", 1)
UNFINISHED = CELL.replace("results", "results/.unfinished", 1)
# Tables that are their configurations' tables put together, and those made in other ways.
TABLES = (
    *("training_results", "training_history", "membership_metrics"),
    *("examples", "shadow_counts"),
)
FURTHER_TABLES = (
    *("per_class.csv", "paired_differences.csv", "comprehensive_mia_results.csv"),
    *("health.csv", "summary.tex"),
)
FIGURES = (
    *("roc", "leakage", "accuracy", "tradeoff"),
    *("heatmap", "shadow_counts", "classes"),
)


def any_of(names):
    """A wildcard constraint that matches exactly these names."""
    return "|".join(sorted({re.escape(name) for name in names})) or r"(?!)"


wildcard_constraints:
    study=any_of(STUDIES),
    dataset=any_of(DATASETS),
    architecture=any_of(a for s in STUDIES.values() for a in s.architectures),
    variant=any_of(v.name for s in STUDIES.values() for v in s.variants),
    attack=any_of(a for s in STUDIES.values() for a in s.attacks),
    adversary="(non_adaptive/|original/)?",
    target=r"target-\d+(-\d+)?",
    shadow_block=r"\d\d+",
    block=r"target-\d+(-\d+)?|shadow-\d\d+",
    table=any_of(TABLES),


def study_of(wildcards):
    """The study that a job belongs to."""
    return STUDIES[wildcards.study]


def cell_of(wildcards):
    """The configuration that a job belongs to."""
    names = ("study", "dataset", "architecture", "variant")
    return {name: getattr(wildcards, name) for name in names}


def headline(wildcards):
    """The first attack of the study."""
    return study_of(wildcards).attacks[0]


def adversary_of(wildcards):
    """The adversary that an attack file is about; adaptive ones have no folder of their own."""
    return wildcards.adversary[:-1] or "adaptive"  # without the slash at its end


def headline_scores(wildcards):
    """Scores of the study's first attack on a configuration."""
    return f"{CELL.format(**cell_of(wildcards))}/attacks/{headline(wildcards)}.h5"


def training_settings(wildcards):
    """What determines the models of a configuration."""
    return study_of(wildcards).training_settings(
        wildcards.architecture, wildcards.variant
    )


def files_of_models(wildcards, block, variant=None):
    """Model files of a block, of a job's own configuration or of another variant."""
    cell = cell_of(wildcards)
    folder = CELL.format(**cell | {"variant": variant or cell["variant"]})
    names = study_of(wildcards).models(block)
    return [f"{folder}/models/{name}.safetensors" for name in names]


def initial_models(block):
    """An input function: the dense models that a block is fine-tuned from, if it is."""

    def files(wildcards):
        fine_tuned = study_of(wildcards).is_fine_tuned(wildcards.variant)
        name = block.format(**wildcards)
        return files_of_models(wildcards, name, "dense") if fine_tuned else []

    return files


def block_models(wildcards):
    """Model files of a block."""
    return files_of_models(wildcards, wildcards.block)


def target_models(wildcards):
    """Model files of the targets of a configuration."""
    targets = study_of(wildcards).targets
    return [path for name in targets for path in files_of_models(wildcards, name)]


def files_of_scores(wildcards, blocks, **other):
    """Score files of some blocks, of a job's own configuration or of one that differs from it."""
    folder = CELL.format(**cell_of(wildcards) | other)
    return [f"{folder}/scores/{block}.h5" for block in blocks]


def target_scores(wildcards):
    """Score files of the targets of a configuration."""
    return files_of_scores(wildcards, study_of(wildcards).targets)


def shadow_scores(wildcards):
    """Score files of the shadows of a configuration."""
    study = study_of(wildcards)
    return files_of_scores(wildcards, study.shadow_blocks, study=study.shadow_study)


def who_attacks(wildcards):
    """The adversary, or that shadows are another study's, and tell nothing of each other here."""
    adversary = adversary_of(wildcards)
    is_shared = study_of(wildcards).shadows and adversary == "adaptive"
    return "shared" if is_shared else adversary


def adversary_scores(wildcards):
    """Score files of the shadows that an adversary attacks a configuration with."""
    study = study_of(wildcards)
    variant = study.shadow_variant(wildcards.variant, adversary_of(wildcards))
    return files_of_scores(
        wildcards, study.shadow_blocks, study=study.shadow_study, variant=variant
    )


def adversary_training(wildcards):
    """What determines the shadows that an adversary attacks a configuration with."""
    study = study_of(wildcards)
    variant = study.shadow_variant(wildcards.variant, adversary_of(wildcards))
    return STUDIES[study.shadow_study].training_settings(
        wildcards.architecture, variant
    )


def examples_for_attack(wildcards):
    """The data set, if an attack looks at the examples themselves."""
    needed = "features" in ATTACKS[wildcards.attack].needs
    return [ancient(f"results/data/{wildcards.dataset}.h5")] if needed else []


def headline_attack(wildcards):
    """Scores of the study's first attack by its first adversary on a configuration."""
    name = study_of(wildcards).attack_names(wildcards.variant)[0]
    return f"{CELL.format(**cell_of(wildcards))}/attacks/{name}.h5"


def headline_attacks(wildcards):
    """Scores of the study's first attack by its first adversary, on each configuration."""
    study = study_of(wildcards)
    return [
        f"results/{cell.folder}/attacks/{study.attack_names(cell.variant)[0]}.h5"
        for cell in study.cells
    ]


def first_adversary_attacks(wildcards):
    """Scores of all attacks of a configuration's first adversary."""
    study = study_of(wildcards)
    names = study.attack_names(wildcards.variant)[: len(study.attacks)]
    return [f"{CELL.format(**cell_of(wildcards))}/attacks/{name}.h5" for name in names]


def all_scores(wildcards):
    """Score files of all models of a configuration."""
    return files_of_scores(wildcards, study_of(wildcards).blocks(wildcards.variant))


def order_file(wildcards):
    """Scores that order the examples of which a block's models train on the first; often None."""
    study = study_of(wildcards)
    is_prefix = study.subsets and wildcards.block in study.targets
    return study.subsets.get("scores") if is_prefix else None


def roles_data(wildcards):
    """The data set, if only that knows how many examples there are."""
    known = study_of(wildcards).num_examples(wildcards.dataset) is not None
    return [] if known else [ancient(f"results/data/{wildcards.dataset}.h5")]


def roles_inputs(wildcards):
    """What roles depend on: sizes that only the data know, and an order of the examples."""
    order = order_file(wildcards)
    return roles_data(wildcards) + ([order] if order else [])


def cell_files(study, *names):
    """Files of every configuration of a study."""
    return [f"results/{cell.folder}/{name}" for cell in study.cells for name in names]


def own_cells(wildcards):
    """The configurations of a study whose shadows are attacked with each other."""
    cells = study_of(wildcards).own_shadow_cells
    return [(cell.study, *cell.path) for cell in cells]


def paired_attacks(wildcards):
    """Scores of the attacks that are compared with each other, of each configuration in turn."""
    study = study_of(wildcards)
    return [
        f"results/{cell.folder}/attacks/{name}.h5"
        for cell in study.own_shadow_cells
        for pair in study.attack_pairs
        for name in pair
    ]


def estimator_of(wildcards):
    """The estimator of curvature that figures and orders of a study are about."""
    return study_of(wildcards).curvature_estimators[0]


def model_files(study):
    """All model files of a study."""
    return [
        f"results/{cell.folder}/models/{name}.safetensors"
        for cell in study.cells
        for block in study.blocks(cell.variant)
        for name in study.models(block)
    ]


def score_block_files(study):
    """All score files of a study."""
    return [
        f"results/{cell.folder}/scores/{block}.h5"
        for cell in study.cells
        for block in study.blocks(cell.variant)
    ]


def attack_files(study):
    """All attack files of a study."""
    return [
        f"results/{cell.folder}/attacks/{name}.h5"
        for cell in study.cells
        for name in study.attack_names(cell.variant)
    ]


def table_files(study):
    """All tables of a study."""
    tidy = [name for name in TABLES if name != "examples" or study.compares_examples]
    names = [*(f"{name}.csv" for name in tidy), *FURTHER_TABLES]
    if study.compares_examples:
        names.append("examples.parquet")
    if study.curvature_estimators and not study.subsets:
        names += ["curvature.csv", "curvature.tex"]
    if study.attack_pairs:
        names.append("attack_differences.csv")
    return [f"results/{study.name}/tables/{name}" for name in names]


def membership_table(study):
    """The table of metrics of a study, by its name."""
    return f"results/{study}/tables/membership_metrics.csv"


def curvature_figures(study):
    """Figures of a study that are about curvature, sizes of subsets and privacy budgets."""
    names = ["subset_sizes"] if study.subsets else []
    if study.privacy_budgets:
        names.append("epsilon")
    if study.curvature_estimators and not study.subsets:
        names += [f"curvature-{'-'.join(cell.path)}" for cell in study.cells]
        cells = study.own_shadow_cells if study.compares_examples else ()
        names += [f"curvature_examples-{'-'.join(cell.path)}" for cell in cells]
    return names


def figure_files(study):
    """All figures of a study."""
    cells = study.own_shadow_cells if study.compares_examples else ()
    names = [
        *FIGURES,
        *curvature_figures(study),
        *(["exposure"] if cells else []),
        *(f"attacks-{'-'.join(cell.path)}" for cell in study.cells),
        *(f"examples-{'-'.join(cell.path)}" for cell in cells),
    ]
    return [f"results/{study.name}/figures/{name}.png" for name in names]


def study_files(study):
    """Everything that a study is run for."""
    return table_files(study) + figure_files(study)


def models_output(files):
    """Model files, deleted after scoring if the configuration says so."""
    return files if CONFIG.keep_models else temp(files)


def table_parts(wildcards):
    """Tables of the configurations that make up a table of a study."""
    study = study_of(wildcards)
    if wildcards.table == "membership_metrics":
        return [path.removesuffix(".h5") + ".csv" for path in attack_files(study)]
    return table_parts_of(wildcards.table)(wildcards)


def table_parts_of(name):
    """An input function: the tables of that name of the configurations that have one."""
    needs_shadows = name in ("examples", "shadow_counts")

    def parts(wildcards):
        study = study_of(wildcards)
        cells = study.own_shadow_cells if needs_shadows else study.cells
        return [f"results/{cell.folder}/{name}.csv" for cell in cells]

    return parts


def figure_output(name, title):
    """PNG, which the report shows, and PDF of a figure of a study."""
    path = f"results/{{study}}/figures/{name}"
    shown = report(
        f"{path}.png",
        caption=f"report/{name.split('-')[0]}.rst",
        category="{study}",
        subcategory="figures",
        labels={"figure": title},
    )
    return [shown, f"{path}.pdf"]
