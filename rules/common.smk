# What all rules share: the validated configuration, and lists of file names.
# The experiment grid itself is in scripts/shadowmill/config.

import os
import re
import sys
from contextlib import contextmanager
from dataclasses import asdict

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

from shadowmill.architectures.own import OwnArchitecture
from shadowmill.attacks import ATTACKS, NETWORK_ATTACKS
from shadowmill.config import load, require_free_names
from shadowmill.config.written import require_text
from shadowmill.errors import ShadowmillError
from shadowmill.imports import IMPORTS_VERSION
from shadowmill.names import Cell, shadow_names
from shadowmill.provenance import digest, file_digest
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
NETWORK_FACTS = "results/.prepared/networks/{study}/{dataset}/{architecture}/{variant}-{checked}.json"
UNFINISHED = CELL.replace("results", "results/.unfinished", 1)


def any_of(names):
    """A wildcard constraint that matches exactly these names."""
    return "|".join(sorted({re.escape(name) for name in names})) or r"(?!)"


wildcard_constraints:
    study=any_of(STUDIES),
    dataset=any_of(CONFIG.datasets),
    architecture=any_of(a for s in STUDIES.values() for a in s.architectures),
    variant=any_of(v.name for s in STUDIES.values() for v in s.variants),
    attack=any_of(a for s in STUDIES.values() for a in s.attacks),
    adversary=any_of(
        {"adaptive", *(a for s in STUDIES.values() for a in s.adversaries)}
    ),
    target=r"target-[a-z0-9_]+(-\d+)?",
    shadow_block=r"\d\d+",
    checked=r"[0-9a-f]+",
    block=r"target-[a-z0-9_]+(-\d+)?|shadow-\d\d+",


def study_of(wildcards):
    """The study that a job belongs to."""
    return STUDIES[wildcards.study]


def cell_of(wildcards):
    """The configuration that a job belongs to."""
    names = ("study", "dataset", "architecture", "variant")
    return {name: getattr(wildcards, name) for name in names}


def headline(wildcards):
    """The first attack of the study: what figures and tables of one attack are about."""
    return study_of(wildcards).attacks[0]


def training_settings(wildcards):
    """What determines the models of a configuration."""
    return study_of(wildcards).training_settings(
        wildcards.architecture, wildcards.variant
    )


def network_facts(wildcards):
    """What was found of a network, if it is the user's own."""
    if not isinstance(CONFIG.architectures[wildcards.architecture], OwnArchitecture):
        return []
    # All that the check hangs on is in the name of its file. Were they parameters, it would run
    # again under the same name, and Snakemake would not look at those of the jobs that wait for it.
    asked = [
        code_of_network(wildcards),
        training_settings(wildcards),
        CONFIG.datasets[wildcards.dataset].settings.get("size"),
    ]
    return [ancient(NETWORK_FACTS.format(checked=digest(asked), **wildcards))]


def files_of_models(wildcards, block, variant=None):
    """Model files of a block, of a job's own configuration or of another variant."""
    cell = cell_of(wildcards)
    cell |= {"variant": variant or cell["variant"]}
    study = study_of(wildcards)
    return [model_file(study, cell, name) for name in study.models(block)]


def model_file(study, cell, name):
    """File of a model, which is trained here or brought in."""
    is_imported = study.imported(cell["variant"], name)
    folder = "imported" if is_imported else "models"
    return f"{CELL.format(**cell)}/{folder}/{name}.safetensors"


def imported_model(wildcards):
    """What the configuration says of the finished model of a job."""
    return study_of(wildcards).imported(wildcards.variant, wildcards.target)


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
    """The adversary, or that the targets, not the shadows, are what a study is about."""
    study = study_of(wildcards)
    if wildcards.adversary != "adaptive":
        return wildcards.adversary
    return "shared" if study.shadows else "imported" if study.given else "adaptive"


def adversary_scores(wildcards, adversary=None):
    """Score files of the shadows that an adversary attacks a configuration with."""
    study = study_of(wildcards)
    adversary = adversary or wildcards.adversary
    variant = study.shadow_variant(wildcards.variant, adversary)
    return files_of_scores(
        wildcards, study.shadow_blocks, study=study.shadow_study, variant=variant
    )


def first_adversary_scores(wildcards):
    """Score files of the shadows of the first adversary that a configuration faces."""
    adversary = study_of(wildcards).adversaries_of(wildcards.variant)[0]
    return adversary_scores(wildcards, adversary)


def shadows_are_own(wildcards):
    """Whether these shadows were trained as the targets, by this study."""
    study = study_of(wildcards)
    return (
        study.adversaries_of(wildcards.variant)[0] == "adaptive" and not study.shadows
    )


def adversary_training(wildcards):
    """What determines the shadows that an adversary attacks a configuration with."""
    study = study_of(wildcards)
    variant = study.shadow_variant(wildcards.variant, wildcards.adversary)
    return STUDIES[study.shadow_study].training_settings(
        wildcards.architecture, variant
    )


def examples_for_attack(wildcards):
    """The data set, if an attack looks at the examples themselves."""
    needed = "features" in ATTACKS[wildcards.attack].needs
    return [ancient(f"results/data/{wildcards.dataset}.h5")] if needed else []


def data_with_groups(wildcards):
    """The data set, if some of its examples belong together, or if only it can tell."""
    entry = CONFIG.datasets[wildcards.dataset]
    path = f"results/data/{entry.name}.h5"
    return [] if entry.has_groups is False else [ancient(path)]


def attacks_on(cells, attacks, adversary=None):
    """An input function: files of attacks.

    Args:
        cells: from the wildcards of a job to the configurations that are attacked.
        attacks: from a study to the names of the attacks.
        adversary: whose attacks; the first that each configuration faces if none is named.
    """

    def files(wildcards):
        study = study_of(wildcards)
        return [
            f"results/{cell.folder}/attacks/{whose}/{attack}.h5"
            for cell in cells(wildcards)
            for whose in [adversary or study.adversaries_of(cell.variant)[0]]
            for attack in attacks(study)
        ]

    return files


def this_cell(wildcards):
    """The configuration that a job belongs to, alone."""
    return [Cell(**cell_of(wildcards))]


def all_cells(wildcards):
    """All configurations of a study."""
    return study_of(wildcards).cells


def own_cells(wildcards):
    """The configurations of a study whose shadows are attacked with each other."""
    return study_of(wildcards).own_shadow_cells


def first_attack(study):
    """The headline of a study."""
    return study.attacks[:1]


def all_scores(wildcards):
    """Score files of all models of a configuration."""
    return files_of_scores(wildcards, study_of(wildcards).blocks(wildcards.variant))


def order_file(wildcards):
    """What orders the examples of which a block's models train on the first, by its kind."""
    study = study_of(wildcards)
    is_prefix = study.subsets and wildcards.block in study.targets
    given = study.subsets if is_prefix else {}
    return {kind: given[kind] for kind in ("scores", "order") if kind in given}


def roles_data(wildcards):
    """The data set, if only that knows how many examples there are."""
    known = study_of(wildcards).num_examples(wildcards.dataset) is not None
    return [] if known else [ancient(f"results/data/{wildcards.dataset}.h5")]


def roles_order(wildcards):
    """The file of an order of the examples, if roles depend on one."""
    return list(order_file(wildcards).values())


def given_lists(wildcards):
    """The user's lists of what finished models were trained on, and of what they never saw."""
    given = study_of(wildcards).given.values()
    return [ancient(path) for lists in given for path in lists.values()]


def estimator_of(wildcards):
    """The estimator of curvature that figures and orders of a study are about."""
    return study_of(wildcards).curvature_estimators[0]


def model_files(study):
    """All model files of a study."""
    return [
        model_file(study, asdict(cell), name)
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


def membership_table(study):
    """The table of metrics of a study, by its name."""
    return f"results/{study}/tables/membership_metrics.csv"


def models_output(files):
    """Model files, deleted after scoring if the configuration says so."""
    return files if CONFIG.keep_models else temp(files)
