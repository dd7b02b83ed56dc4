# Inputs:  the models of a block, their roles, results/data/{dataset}.h5
# Outputs: results/{study}/{dataset}/{architecture}/{variant}/scores/{block}.h5
# Steps:   ask every model of the block about every example


rule score_block:
    """Score the models of a block on the pool and on the official test set."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        roles="results/{study}/{dataset}/roles/{block}.h5",
        models=block_models,
        facts=network_facts,
    output:
        f"{CELL}/scores/{{block}}.h5",
    log:
        f"{LOGS}/score-{{block}}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=SCORES_VERSION,
        examples=examples_of,
        settings=lambda wildcards: study_of(wildcards).score_settings,
        training=training_settings,
        # Of the models too: where these are not kept, scores are all that shows what they were.
        models_version=TRAINING_VERSION,
        network=code_of_network,
        models=lambda wildcards: study_of(wildcards).models(wildcards.block),
    script:
        "../scripts/score_models.py"
