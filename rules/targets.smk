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
        [expanded(ATTACK_FILES, study) for study in BUILT],


rule tables:
    """All tables of the studies under `build`."""
    input:
        everything("tables"),


rule figures:
    """All figures of the studies under `build`."""
    input:
        everything("figures"),


with users_mistakes():
    require_free_names(CONFIG, {rule.name for rule in workflow.rules})

for study in STUDIES.values():

    rule:
        name:
            study.name
        input:
            final_files("{study}", study, "tables", "figures"),


for reconstruction in RECONSTRUCTIONS.values():

    rule:
        name:
            reconstruction.name
        input:
            final_files("{reconstruction}", reconstruction, "tables", "figures"),
