# Inputs:  attack files, score files, tables
# Outputs: results/{study}/figures/{figure}.png and .pdf
# Steps:   one rule per figure


rule plot_roc:
    """ROC curves of the study's first attack."""
    input:
        attacks=headline_attacks,
        health="results/{study}/tables/health.csv",
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


rule plot_attacks:
    """ROC curves of all attacks on a configuration."""
    input:
        attacks=first_adversary_attacks,
    output:
        figure_output(
            "attacks-{dataset}-{architecture}-{variant}",
            "all attacks: {dataset}, {architecture}, {variant}",
        ),
    log:
        f"{LOGS}/plot_attacks.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        attacks=lambda wildcards: study_of(wildcards).attacks,
        code=code_of("plot_attacks.py"),
    script:
        "../scripts/plot_attacks.py"


rule plot_heatmap:
    """All attacks on all variants."""
    input:
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        figure_output("heatmap", "attacks and variants"),
    log:
        "results/logs/{study}/heatmap.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("plot_heatmap.py"),
    script:
        "../scripts/plot_heatmap.py"


rule plot_counts:
    """Attacks with fewer shadows."""
    input:
        counts="results/{study}/tables/shadow_counts.csv",
    output:
        figure_output("shadow_counts", "number of shadows"),
    log:
        "results/logs/{study}/shadow_counts_figure.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attacks=lambda wildcards: study_of(wildcards).attacks,
        code=code_of("plot_counts.py"),
    script:
        "../scripts/plot_counts.py"


rule plot_classes:
    """Exposure of classes."""
    input:
        classes="results/{study}/tables/per_class.csv",
        data=lambda wildcards: [
            ancient(f"results/data/{dataset}.h5")
            for dataset in study_of(wildcards).datasets
        ],
    output:
        figure_output("classes", "classes"),
    log:
        "results/logs/{study}/classes.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("plot_classes.py"),
    script:
        "../scripts/plot_classes.py"


rule plot_exposure:
    """Exposure of the same examples under different variants."""
    input:
        examples="results/{study}/tables/examples.csv",
    output:
        figure_output("exposure", "exposure of examples"),
    log:
        "results/logs/{study}/exposure.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("plot_exposure.py"),
    script:
        "../scripts/plot_exposure.py"
