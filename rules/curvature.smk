# Inputs:  score files, results/{study}/tables/membership_metrics.csv
# Outputs: results/{study}/{dataset}/{architecture}/{variant}/mean_curvature.csv, and tables and figures
#          of studies whose attacks use curvature
# Steps:   the order of examples by curvature, for subsets of another study; the published table
#          beside ours; figures


rule order_by_curvature:
    """Mean curvature of each example over the shadows."""
    input:
        scores=shadow_scores,
    output:
        made(
            f"{CELL}/mean_curvature.csv",
            of=lambda study: of_cells(
                study.own_shadow_cells if study.curvature_estimators else ()
            ),
            needs="an attack on curvature, and shadows of its own",
        ),
    log:
        f"{LOGS}/mean_curvature.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        estimator=estimator_of,
        code=code_of("order_by_curvature.py"),
    script:
        "../scripts/order_by_curvature.py"


rule compare_curvature:
    """Our attacks beside the published ones, in the layout of the published Table 1."""
    input:
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        csv=table(
            "curvature",
            """The layout of the published Table 1 (Ravikumar et al. 2024): balanced accuracy at a
            threshold fixed on the shadows, and at the best one (published: at the point of
            equal errors), and AUC, mean and deviation over the targets, and true-positive rates
            at low false-positive rates, in per cent, beside the published values. Rows "as in
            code" use the formulas of the published code.""",
            **CURVATURE,
        ),
        latex=made("results/{study}/tables/curvature.tex", **CURVATURE),
    log:
        "results/logs/{study}/curvature.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        content=content_of(f"{workflow.basedir}/rules/published_curvature.yaml"),
        code=code_of("compare_curvature.py"),
    script:
        "../scripts/compare_curvature.py"


rule compare_attacks:
    """What curvature adds to LiRA, on the same models and examples."""
    input:
        attacks=attacks_on(
            own_cells,
            lambda study: [name for pair in study.attack_pairs for name in pair],
            "adaptive",
        ),
    output:
        table(
            "attack_differences",
            of=lambda study: of_cells(study.cells if study.attack_pairs else ()),
            needs="curvature_lira, and lira_online or lira_fixed, among its attacks",
        ),
    log:
        "results/logs/{study}/attack_differences.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cells=lambda wildcards: [cell.path for cell in own_cells(wildcards)],
        pairs=lambda wildcards: study_of(wildcards).attack_pairs,
        code=code_of("compare_attacks.py"),
    script:
        "../scripts/compare_attacks.py"


rule plot_curvature:
    """Curvature of members and of non-members."""
    input:
        scores=target_scores,
    output:
        figure(
            "curvature-{dataset}-{architecture}-{variant}",
            "curvature",
            """Curvature of the loss with respect to the input (logarithm) of members and of non-
            members of the targets; lines: medians. After training, members lie where the loss
            is flatter.""",
            **CURVATURE,
        ),
    log:
        f"{LOGS}/plot_curvature.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        estimator=estimator_of,
        cell=cell_of,
        code=code_of("plot_curvature.py"),
    script:
        "../scripts/plot_curvature.py"


rule plot_curvature_examples:
    """Images of the highest and of the lowest curvature."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        scores=shadow_scores,
    output:
        figure(
            "curvature_examples-{dataset}-{architecture}-{variant}",
            "examples by curvature",
            """The images of the highest and of the lowest curvature of the loss, mean over the
            shadow models.""",
            needs="an attack on curvature, shadows of its own and no subsets",
            of=lambda study: of_cells(
                study.own_shadow_cells
                if study.curvature_estimators
                and study.compares_examples
                and not study.subsets
                else ()
            ),
        ),
    log:
        f"{LOGS}/plot_curvature_examples.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        estimator=estimator_of,
        names=names_of,
        code=code_of("plot_curvature_examples.py"),
    script:
        "../scripts/plot_curvature_examples.py"


rule plot_subset_sizes:
    """Attack performance against the number of training examples."""
    input:
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        figure(
            "subset_sizes",
            "size of the training set",
            """Attack performance against the number of training examples; markers: means, bars:
            extremes over targets. Where the examples are those of lowest curvature, members are
            easier than non-members by construction, and the loss tells them apart without any
            training.""",
            of=lambda study: of_cells(study.cells if study.subsets else ()),
            needs="subsets",
        ),
    log:
        "results/logs/{study}/subset_sizes.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attacks=lambda wildcards: study_of(wildcards).attacks,
        code=code_of("plot_subset_sizes.py"),
    script:
        "../scripts/plot_subset_sizes.py"


rule plot_epsilon:
    """Attack performance against the privacy budget of DP-SGD."""
    input:
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        figure(
            "epsilon",
            "privacy budget",
            """Attack performance against the privacy budget of DP-SGD with 95 % intervals, with
            shadows that were trained with DP-SGD too (these attacked with each other) and
            without it (the targets).""",
            of=lambda study: of_cells(study.cells if study.privacy_budgets else ()),
            needs="a variant with dp_sgd whose strength is epsilon",
        ),
    log:
        "results/logs/{study}/epsilon.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attacks=lambda wildcards: study_of(wildcards).attacks,
        code=code_of("plot_epsilon.py"),
    script:
        "../scripts/plot_epsilon.py"
