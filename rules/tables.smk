# Inputs:  score files, attack files, models of targets
# Outputs: results/{study}/tables/{table}.csv
# Steps:   tabulate each configuration, then put a study's tables together


localrules:
    join_table,


rule tabulate_training:
    """Accuracy, loss and sparsity of the models of a configuration."""
    input:
        scores=all_scores,
    output:
        f"{CELL}/training_results.csv",
    log:
        f"{LOGS}/training_results.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        code=code_of("tabulate_training.py"),
    script:
        "../scripts/tabulate_training.py"


rule tabulate_history:
    """Loss, accuracy and masks of the targets of a configuration, epoch by epoch."""
    input:
        models=target_models,
    output:
        f"{CELL}/training_history.csv",
    log:
        f"{LOGS}/training_history.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        code=code_of("tabulate_history.py"),
    script:
        "../scripts/tabulate_history.py"


rule tabulate_membership:
    """Metrics of one attack on a configuration, with intervals."""
    input:
        attack=f"{CELL}/attacks/{{adversary}}{{attack}}.h5",
    output:
        f"{CELL}/attacks/{{adversary}}{{attack}}.csv",
    log:
        f"{LOGS}/membership/{{adversary}}{{attack}}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        adversary=adversary_of,
        code=code_of("tabulate_membership.py"),
    script:
        "../scripts/tabulate_membership.py"


rule tabulate_examples:
    """Exposure of every example of a configuration."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        scores=shadow_scores,
        attack=headline_scores,
    output:
        f"{CELL}/examples.csv",
    log:
        f"{LOGS}/examples.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        attack=headline,
        code=code_of("tabulate_examples.py"),
    script:
        "../scripts/tabulate_examples.py"


rule join_table:
    """Put the tables of all configurations of a study together."""
    input:
        table_parts,
    output:
        report(
            "results/{study}/tables/{table}.csv",
            caption="report/table.rst",
            category="{study}",
            subcategory="tables",
            labels={"table": "{table}"},
        ),
    log:
        "results/logs/{study}/{table}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("join_tables.py"),
    script:
        "../scripts/join_tables.py"
