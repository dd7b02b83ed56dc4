# Inputs:  results/data/{dataset}.h5, results/{study}/{dataset}/roles/{target}.h5, weights of others
# Outputs: results/{study}/{dataset}/{architecture}/{variant}/imported/{target}.safetensors
# Steps:   read a finished model, refuse it if it cannot be right, write it as one of ours; compare it
#          with the shadows that imitate it
#
# Foreign files are only read. A rule of its own for each kind of source.


localrules:
    compare_imported,


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
    priority: 3  # before hours of training, if it is refused
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


rule compare_imported:
    """How alike finished models are to the shadows that imitate them."""
    input:
        training="results/{study}/tables/training_results.csv",
    output:
        table(
            "imported",
            """Finished models beside the shadows that imitate them: accuracy and loss of each, and
            whether one more shadow would hardly be so far from the others (`unlike`). An attack is
            as good as its shadows are alike.""",
            of=lambda study: [{}] if study.given else [],
            needs="finished models under imports",
        ),
    log:
        "results/logs/{study}/imported.csv.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("compare_imported.py"),
    script:
        "../scripts/compare_imported.py"
