# Inputs:  attack files, score files, tables
# Outputs: results/{study}/figures/{figure}.png and .pdf
# Steps:   one rule per figure


rule plot_roc:
    """ROC curves of the study's first attack."""
    input:
        attacks=headline_attacks,
    output:
        figure_output("roc", "ROC"),
    log:
        "results/logs/{study}/roc.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attack=headline,
        cells=lambda wildcards: [cell.path for cell in study_of(wildcards).cells],
        code=code_of("plot_roc.py"),
    script:
        "../scripts/plot_roc.py"


rule plot_leakage:
    """Attack performance against sparsity, or of each defended variant."""
    input:
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        figure_output("leakage", "leakage"),
    log:
        "results/logs/{study}/leakage.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attack=headline,
        code=code_of("plot_leakage.py"),
    script:
        "../scripts/plot_leakage.py"


rule plot_accuracy:
    """Test accuracy against sparsity, or of each defended variant."""
    input:
        training="results/{study}/tables/training_results.csv",
    output:
        figure_output("accuracy", "accuracy"),
    log:
        "results/logs/{study}/accuracy.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("plot_accuracy.py"),
    script:
        "../scripts/plot_accuracy.py"


rule plot_tradeoff:
    """Leakage against test accuracy."""
    input:
        training="results/{study}/tables/training_results.csv",
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        figure_output("tradeoff", "privacy against utility"),
    log:
        "results/logs/{study}/tradeoff.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attack=headline,
        code=code_of("plot_tradeoff.py"),
    script:
        "../scripts/plot_tradeoff.py"


rule plot_examples:
    """The most and the least exposed examples of a configuration."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        scores=shadow_scores,
        examples=f"{CELL}/examples.csv",
    output:
        figure_output(
            "examples-{dataset}-{architecture}-{variant}",
            "exposed examples: {dataset}, {architecture}, {variant}",
        ),
    log:
        f"{LOGS}/plot_examples.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        code=code_of("plot_examples.py"),
    script:
        "../scripts/plot_examples.py"
