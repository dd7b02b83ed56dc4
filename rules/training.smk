# Inputs:  results/data/{dataset}.h5, results/{study}/{dataset}/roles/{block}.h5; for fine-tuning
#          the dense models of the same block
# Outputs: results/{study}/{dataset}/{architecture}/{variant}/models/{model}.safetensors
# Steps:   train a target alone; train a block of shadows in one job
#
# Models are trained before what is ready beside them: all else waits for them.
#
# Data sets are ancient(): preparing one again does not retrain, other examples do, by their digest.
# The trainer's code is tracked by TRAINING_VERSION, not by its text; the code that builds the network
# by its digest, as it is part of what a model is.


localrules:
    check_network,


rule check_network:
    """Try out a network of the user's own on one batch, before anything is trained."""
    input:
        data=ancient("results/data/{dataset}.h5"),
    output:
        NETWORK_FACTS,
    log:
        f"{LOGS}/network-{{checked}}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        network=code_of_network,
        training=training_settings,
    script:
        "../scripts/check_network.py"


rule train_target:
    """Train one audited model."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        roles="results/{study}/{dataset}/roles/{target}.h5",
        initial=initial_models("{target}"),
        facts=network_facts,
    output:
        models_output([f"{CELL}/models/{{target}}.safetensors"]),
    log:
        f"{LOGS}/train-{{target}}.log",
    priority: 1
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=TRAINING_VERSION,
        examples=examples_of,
        settings=training_settings,
        network=code_of_network,
        model_keys=lambda wildcards: study_of(wildcards).keys(wildcards.target),
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
            roles="results/{study}/{dataset}/roles/shadow-{shadow_block}.h5",
            initial=initial_models("shadow-{shadow_block}"),
            facts=network_facts,
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
        priority: 1
        conda:
            "../envs/shadowmill.yaml"
        params:
            version=TRAINING_VERSION,
            examples=examples_of,
            settings=training_settings,
            network=code_of_network,
            model_keys=lambda wildcards: study_of(wildcards).keys(
                f"shadow-{wildcards.shadow_block}"
            ),
            state=f"{UNFINISHED}/shadow-{{shadow_block}}",
        script:
            "../scripts/train_models.py"
