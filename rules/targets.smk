# Names that can be asked for instead of files.


rule models:
    """All models of the studies under `build`."""
    input:
        [model_files(study) for study in BUILT],


rule scores:
    """All score files of the studies under `build`."""
    input:
        [
            cell_files(study, *(f"scores/{b}.h5" for b in study.blocks))
            for study in BUILT
        ],


rule attacks:
    """All attack files of the studies under `build`."""
    input:
        [attack_files(study) for study in BUILT],


rule tables:
    """All tables of the studies under `build`."""
    input:
        [table_files(study) for study in BUILT],


rule figures:
    """All figures of the studies under `build`."""
    input:
        [figure_files(study) for study in BUILT],


for study in STUDIES.values():

    rule:
        name:
            study.name
        input:
            study_files(study),
