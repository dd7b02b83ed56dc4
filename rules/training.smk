# Inputs:  results/data/{dataset}.h5, results/{study}/{dataset}/roles.h5
# Outputs: results/{study}/{dataset}/{architecture}/{variant}/models/{model}.safetensors
# Steps:   train a target alone; train a block of shadows in one job
#
# Data and roles are ancient(): drawing the roles of more shadows, or preparing the data again, does
# not retrain. Whether they are still the ones that a model was trained with is checked by digests
# when it is scored. The trainer's code is tracked by TRAINING_VERSION, not by its text.


rule train_target:
    """Train one audited model."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        roles=ancient("results/{study}/{dataset}/roles.h5"),
    output:
        models_output([f"{CELL}/models/{{target}}.safetensors"]),
    log:
        f"{LOGS}/train-{{target}}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=TRAINING_VERSION,
        settings=training_settings,
        seed_keys=lambda wildcards: [
            ["target", study_of(wildcards).targets[wildcards.target]]
        ],
        state=f"{UNFINISHED}/{{target}}",
    script:
        "../scripts/train_models.py"


# One rule for each block size in use: the slots of a block are part of the names of its files.
for size in sorted({study.models_per_job for study in STUDIES.values()}):

    rule:
        name:
            f"train_shadows_{size}"
        input:
            data=ancient("results/data/{dataset}.h5"),
            roles=ancient("results/{study}/{dataset}/roles.h5"),
        output:
            models_output(
                [
                    f"{CELL}/models/{name}.safetensors"
                    for name in shadow_names("shadow-{shadow_block}", size)
                ]
            ),
        log:
            f"{LOGS}/train-shadow-{{shadow_block}}.log",
        wildcard_constraints:
            study=any_of(s.name for s in STUDIES.values() if s.models_per_job == size),
        conda:
            "../envs/shadowmill.yaml"
        params:
            version=TRAINING_VERSION,
            settings=training_settings,
            seed_keys=lambda wildcards: study_of(wildcards).shadow_keys(
                int(wildcards.shadow_block)
            ),
            state=f"{UNFINISHED}/shadow-{{shadow_block}}",
        script:
            "../scripts/train_models.py"
