# Inputs:  attack files, score files, tables
# Outputs: results/{study}/figures/{figure}.png and .pdf
# Steps:   one rule per figure


rule plot_roc:
    """ROC curves of the study's first attack."""
    input:
        attacks=attacks_on(all_cells, first_attack),
        health="results/{study}/tables/health.csv",
    output:
        figure(
            "roc",
            "ROC",
            """ROC curves of the study's first attack on logarithmic axes; those of defended models
            are dashed. Lines: all shadow models, each attacked with all others but its
            complement, their scores in one ranking; of the targets where the title says so. Bands:
            the middle 80 % of the curves of single models. A point at a false-positive rate of
            0.1 % says which part of the members is found when one non-member in a thousand is
            wrongly accused.""",
        ),
    log:
        "results/logs/{study}/roc.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attack=headline,
        cells=lambda wildcards: [cell.path for cell in all_cells(wildcards)],
        code=code_of("plot_roc.py"),
    script:
        "../scripts/plot_roc.py"


rule plot_leakage:
    """Attack performance against sparsity, or of each defended variant."""
    input:
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        figure(
            "leakage",
            "leakage",
            """Performance of the study's first attack against sparsity (dense models lie at 0 %),
            or of each variant if some are defended. All shadow models attacked with each other,
            pooled, or the targets where the title says so; bars are 95 % intervals of
            a two-way bootstrap over models and examples. The dotted line is an attack that
            guesses. A cross stands where nothing was found, at the smallest leak that would
            probably have been.""",
        ),
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
        figure(
            "accuracy",
            "accuracy",
            """Test accuracy against sparsity, or of each variant if some are defended: the mean
            over all targets and shadows of a configuration, with the central 95 % of models.
            Data sets without an official test set are judged on the non-members of each model.""",
        ),
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
        figure(
            "tradeoff",
            "privacy against utility",
            """AUC of the study's first attack against test accuracy. Vertical bars are 95 %
            intervals over models and examples, horizontal ones the central 95 % of models.
            Better means lower (less leakage) and further right (more accuracy).""",
        ),
    log:
        "results/logs/{study}/tradeoff.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attack=headline,
        code=code_of("plot_tradeoff.py"),
    script:
        "../scripts/plot_tradeoff.py"


rule plot_privacy_audit:
    """The privacy that training claims against what an audit shows."""
    input:
        audit="results/{study}/tables/privacy_audit.csv",
    output:
        figure(
            "privacy_audit",
            "privacy: claimed and shown",
            """The ε of differential privacy, with respect to replacing one example. Claimed: the
            upper bound of the accountant. Shown: a lower bound, with 95 % confidence, from
            guesses which of two examples was trained on. The true ε lies between them. Models
            without a triangle to the left claim nothing: they show what the audit can see. A
            claim that lies below what was shown does not hold.""",
            **PRIVATE,
        ),
    log:
        "results/logs/{study}/privacy_audit.figure.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("plot_privacy_audit.py"),
    script:
        "../scripts/plot_privacy_audit.py"


rule plot_vulnerability:
    """How unequally examples are exposed."""
    input:
        examples="results/{study}/tables/examples.csv",
        vulnerable="results/{study}/tables/vulnerable.csv",
    output:
        figure(
            "vulnerability",
            "the most vulnerable examples",
            """One rate for all examples is the rate of none. Left: at the threshold where 1 % of
            all non-members are wrongly accused, the share of the examples that are so by at
            least a given part of the models without them. Right: what the study's first attack
            finds of all examples, and of the 1 % with the largest separation, which were chosen
            on one half of the shadows and judged on the other; bars span 20 such draws.""",
            **COMPARED,
        ),
    log:
        "results/logs/{study}/vulnerability.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("plot_vulnerability.py"),
    script:
        "../scripts/plot_vulnerability.py"


rule plot_examples:
    """The most and the least exposed examples of a configuration."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        scores=shadow_scores,
        examples=f"{CELL}/examples.csv",
    output:
        figure(
            "examples-{dataset}-{architecture}-{variant}",
            "exposed examples: {dataset}, {architecture}, {variant}",
            """The four most and the four least exposed examples, by the distance between the
            logit-scaled confidence φ of models that trained on them and of models that did not,
            in standard deviations. Histograms are over the shadow models: half of them have
            each example in their training set.""",
            **COMPARED,
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
        attacks=attacks_on(this_cell, lambda study: study.attacks),
    output:
        figure(
            "attacks-{dataset}-{architecture}-{variant}",
            "all attacks: {dataset}, {architecture}, {variant}",
            """ROC curves of all attacks on one configuration, on logarithmic axes: all shadow
            models attacked with each other, or the targets where the title says so,
            their scores in one ranking. The number in brackets is the AUC.""",
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
        figure(
            "heatmap",
            "attacks and variants",
            """AUC, and TPR at 1 % FPR, of every attack on every variant: all shadow models
            attacked with each other, or the targets where the title says so, their
            scores in one ranking.""",
        ),
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
        figure(
            "shadow_counts",
            "number of shadows",
            """Attacks on the targets with fewer shadows, drawn in pairs from those there are;
            nothing is retrained. Lines are means over draws and targets, bands reach from the
            lowest to the highest.""",
        ),
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
        figure(
            "classes",
            "classes",
            """AUC of the study's first attack on each class, with 95 % intervals of a two-way
            bootstrap over models and examples. per_class.csv says whether the classes differ by
            more than chance.""",
        ),
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
        figure(
            "exposure",
            "exposure of examples",
            """How far the logit-scaled confidence φ of each example lies apart in models with and
            without it, in standard deviations: under the reference variant against the others.
            Examples on the diagonal are as exposed in both.""",
            **COMPARED,
        ),
    log:
        "results/logs/{study}/exposure.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("plot_exposure.py"),
    script:
        "../scripts/plot_exposure.py"
