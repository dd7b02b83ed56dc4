# Inputs:  results/data/{dataset}.h5, results/{study}/{dataset}/roles/{target}.h5, weights of others
# Outputs: results/{study}/{dataset}/{architecture}/{variant}/imported/{target}.safetensors
# Steps:   read a finished model, refuse it if it cannot be right, write it as one of ours
#
# Foreign files are only read. A rule of its own for each kind of source.


def imported_model(wildcards):
    """What the configuration says of the finished model of a job."""
    return study_of(wildcards).imported(wildcards.variant, wildcards.target)


rule import_target:
    """Bring in a finished model."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        roles="results/{study}/{dataset}/roles/{target}.h5",
        file=lambda wildcards: imported_model(wildcards)["file"],
        facts=network_facts,
    output:
        f"{CELL}/imported/{{target}}.safetensors",
    log:
        f"{LOGS}/import-{{target}}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=IMPORTS_VERSION,
        examples=examples_of,
        settings=training_settings,
        network=code_of_network,
        given=imported_model,
    script:
        "../scripts/import_model.py"
