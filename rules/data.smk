# Inputs:  published data sets, from data.root or downloaded into it
# Outputs: results/data/{dataset}.h5, results/{study}/{dataset}/roles/{block}.h5
# Steps:   read or download a data set; draw who trains on what


localrules:
    dataset,
    roles,


rule dataset:
    """Read a data set, or download it first: on this machine, as compute nodes may lack a network."""
    output:
        "results/data/{dataset}.h5",
    log:
        "results/logs/data/{dataset}.log",
    conda:
        "../envs/shadowmill.yaml"
    script:
        "../scripts/prepare_dataset.py"


rule roles:
    """Draw who trains on what, for the models of a block."""
    input:
        roles_inputs,
    output:
        "results/{study}/{dataset}/roles/{block}.h5",
    log:
        "results/logs/{study}/{dataset}/roles-{block}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        seed=lambda wildcards: study_of(wildcards).seed,
        model_keys=lambda wildcards: study_of(wildcards).keys(wildcards.block),
        num_examples=lambda wildcards: study_of(wildcards).num_examples(
            wildcards.dataset
        ),
        protocol=lambda wildcards: study_of(wildcards).protocol,
        validation=lambda wildcards: study_of(wildcards).validation,
        order=order_file,
    script:
        "../scripts/draw_roles.py"
