# Files that the command line asks for are checked before anything is planned. Snakemake tells its
# rules nothing of them while it parses, so its own parser is asked.

from functools import partial

from snakemake.cli import get_argument_parser

from shadowmill.config.requested import check_requested


def files_of_study(study):
    """All files that a study can be asked for."""
    blocks = {block for cell in study.cells for block in study.blocks(cell.variant)}
    attacks, figures = attack_files(study), figure_files(study)
    own = [f"results/{cell.folder}" for cell in study.own_shadow_cells]
    return [
        *table_files(study),
        *figures,
        *(path.replace(".png", ".pdf") for path in figures),
        *model_files(study),
        *score_block_files(study),
        *attacks,
        *(path.replace(".h5", ".csv") for path in attacks),
        *cell_files(study, "training_results.csv", "training_history.csv"),
        *cell_files(study, "per_class.csv"),
        *(f"{cell}/shadow_counts.csv" for cell in own),
        *(f"{cell}/examples.csv" for cell in own if study.compares_examples),
        *(f"{cell}/mean_curvature.csv" for cell in own if study.curvature_estimators),
        *(
            f"results/{study.name}/{dataset}/roles/{block}.h5"
            for dataset in study.datasets
            for block in blocks
        ),
    ]


def files_of_setting(study, setting):
    """All files of one setting of a reconstruction."""
    names = [
        *("weight_statistics.h5", "reconstructor.safetensors", "learning_curve.csv"),
        *("reconstructions.h5", "reconstruction.csv"),
        *(["membership.h5"] if study.membership_seeds else []),
    ]
    folder = f"results/{study.folder(setting.name)}"
    shards = {*study.train_shards(setting), *study.membership_shards()}
    heads = shard_files(study, setting, shards | {TEST_SHARD, VALIDATION_SHARD})
    return [f"{folder}/{name}" for name in names] + heads


def files_of_reconstruction(study):
    """All files that a reconstruction can be asked for."""
    figures = reconstruction_figures(study)
    return [
        f"results/{study.name}/tables/reconstruction.csv",
        *figures,
        *(path.replace(".png", ".pdf") for path in figures),
        *(path for s in study.settings for path in files_of_setting(study, s)),
    ]


def files_of_backbones():
    """All backbones, and the features that reconstructions need of them."""
    return [
        *(f"results/backbones/{name}/model.safetensors" for name in BACKBONES),
        *map(features_of, RECONSTRUCTIONS.values()),
    ]


def requested():
    """What the command line names beside options."""
    if not any("results/" in argument for argument in sys.argv[1:]):
        return []
    return get_argument_parser().parse_known_args(sys.argv[1:])[0].targets


with users_mistakes():
    check_requested(
        requested(),
        CONFIG,
        {
            "data": lambda: [f"results/data/{name}.h5" for name in DATASETS],
            "backbones": files_of_backbones,
            **{name: partial(files_of_study, study) for name, study in STUDIES.items()},
            **{
                name: partial(files_of_reconstruction, study)
                for name, study in RECONSTRUCTIONS.items()
            },
        },
    )
