# Files that the command line asks for are checked before anything is planned. Snakemake tells its
# rules nothing of them while it parses, so its own parser is asked.

from functools import partial

from snakemake.cli import get_argument_parser

from shadowmill.config.limits import limits
from shadowmill.config.requested import check_requested


def files_of_study(study):
    """All files that a study can be asked for."""
    blocks = {block for cell in study.cells for block in study.blocks(cell.variant)}
    return [
        *products_of("{study}", study),
        *model_files(study),
        *score_block_files(study),
        *(
            f"results/{study.name}/{dataset}/roles/{block}.h5"
            for dataset in study.datasets
            for block in blocks
        ),
    ]


def files_of_setting(study, setting):
    """All files of one setting of a reconstruction."""
    names = [
        "weight_statistics.h5",
        "reconstructor.safetensors",
        "learning_curve.csv",
        "reconstructions.h5",
        *(["membership.h5"] if study.membership_seeds else []),
    ]
    folder = f"results/{study.folder(setting.name)}"
    shards = {*study.train_shards(setting), *study.membership_shards()}
    heads = shard_files(study, setting, shards | {TEST_SHARD, VALIDATION_SHARD})
    return [f"{folder}/{name}" for name in names] + heads


def files_of_reconstruction(study):
    """All files that a reconstruction can be asked for."""
    return [
        *products_of("{reconstruction}", study),
        *(
            path
            for setting in study.settings
            for path in files_of_setting(study, setting)
        ),
    ]


def files_of_backbones():
    """All backbones, and the features that reconstructions need of them."""
    return [
        *(f"results/backbones/{name}/model.safetensors" for name in BACKBONES),
        *map(features_of, RECONSTRUCTIONS.values()),
    ]


def requested():
    """What the command line names beside options."""
    named = {*STUDIES, *RECONSTRUCTIONS, "results/"}
    if not any(name in argument for argument in sys.argv[1:] for name in named):
        return []
    return get_argument_parser().parse_known_args(sys.argv[1:])[0].targets


def requested_studies(targets):
    """The studies that are named or have the files that are; without any, those that are built."""
    words = {word for target in targets for word in target.split("/")}
    named = [study for study in STUDIES.values() if study.name in words]
    return named if targets else BUILT


with users_mistakes():
    check_requested(
        requested(),
        CONFIG,
        {
            "data": lambda: [f"results/data/{name}.h5" for name in CONFIG.datasets],
            "backbones": files_of_backbones,
            **{name: partial(files_of_study, study) for name, study in STUDIES.items()},
            **{
                name: partial(files_of_reconstruction, study)
                for name, study in RECONSTRUCTIONS.items()
            },
        },
        needs(),
    )

if workflow.is_main_process:
    for study in requested_studies(requested()):
        for limit in limits(study):
            logger.warning(limit)
