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
        f"{CELL}/mean_curvature.csv",
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
        csv=report(
            "results/{study}/tables/curvature.csv",
            caption="report/curvature_table.rst",
            category="{study}",
            subcategory="tables",
            labels={"table": "curvature"},
        ),
        latex="results/{study}/tables/curvature.tex",
    log:
        "results/logs/{study}/curvature.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        published=f"{workflow.basedir}/rules/published_curvature.yaml",
        content=content_of(f"{workflow.basedir}/rules/published_curvature.yaml"),
        code=code_of("compare_curvature.py"),
    script:
        "../scripts/compare_curvature.py"


rule compare_attacks:
    """What curvature adds to LiRA, on the same models and examples."""
    input:
        attacks=paired_attacks,
    output:
        report(
            "results/{study}/tables/attack_differences.csv",
            caption="report/table.rst",
            category="{study}",
            subcategory="tables",
            labels={"table": "attack differences"},
        ),
    log:
        "results/logs/{study}/attack_differences.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cells=own_cells,
        pairs=lambda wildcards: study_of(wildcards).attack_pairs,
        code=code_of("compare_attacks.py"),
    script:
        "../scripts/compare_attacks.py"


rule plot_curvature:
    """Curvature of members and of non-members."""
    input:
        scores=target_scores,
    output:
        figure_output("curvature-{dataset}-{architecture}-{variant}", "curvature"),
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
        figure_output(
            "curvature_examples-{dataset}-{architecture}-{variant}",
            "examples by curvature",
        ),
    log:
        f"{LOGS}/plot_curvature_examples.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        estimator=estimator_of,
        code=code_of("plot_curvature_examples.py"),
    script:
        "../scripts/plot_curvature_examples.py"


rule plot_subset_sizes:
    """Attack performance against the number of training examples."""
    input:
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        figure_output("subset_sizes", "size of the training set"),
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
        figure_output("epsilon", "privacy budget"),
    log:
        "results/logs/{study}/epsilon.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attacks=lambda wildcards: study_of(wildcards).attacks,
        code=code_of("plot_epsilon.py"),
    script:
        "../scripts/plot_epsilon.py"
