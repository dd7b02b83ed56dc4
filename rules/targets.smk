# Names that can be asked for instead of files.


rule models:
    """All models of the studies under `build`."""
    input:
        [model_files(study) for study in BUILT],


rule scores:
    """All score files of the studies under `build`."""
    input:
        [score_block_files(study) for study in BUILT],


rule attacks:
    """All attack files of the studies under `build`."""
    input:
        [attack_files(study) for study in BUILT],


rule tables:
    """All tables of the studies under `build`."""
    input:
        [table_files(study) for study in BUILT],
        [
            f"results/{study.name}/tables/reconstruction.csv"
            for study in BUILT_RECONSTRUCTIONS
        ],


rule figures:
    """All figures of the studies under `build`."""
    input:
        [figure_files(study) for study in BUILT],
        [reconstruction_figures(study) for study in BUILT_RECONSTRUCTIONS],


with users_mistakes():
    require_free_names(CONFIG, {rule.name for rule in workflow.rules})

for study in STUDIES.values():

    rule:
        name:
            study.name
        input:
            study_files(study),


for reconstruction in RECONSTRUCTIONS.values():

    rule:
        name:
            reconstruction.name
        input:
            reconstruction_files(reconstruction),
