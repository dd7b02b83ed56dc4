# Inputs:  published data sets, from data.root or downloaded into it
# Outputs: results/data/{dataset}.h5, results/{study}/{dataset}/roles.h5
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
    """Draw the role matrix of a study on a data set."""
    output:
        "results/{study}/{dataset}/roles.h5",
    log:
        "results/logs/{study}/{dataset}/roles.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        seed=lambda wildcards: study_of(wildcards).seed,
        targets=lambda wildcards: study_of(wildcards).targets,
        shadows=lambda wildcards: list(study_of(wildcards).shadows),
        pool_size=lambda wildcards: DATASETS[wildcards.dataset].pool_size,
    script:
        "../scripts/draw_roles.py"
