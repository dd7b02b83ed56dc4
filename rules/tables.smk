# Inputs:  score files, attack files, models of targets
# Outputs: results/{study}/tables/{table}.csv
# Steps:   tabulate each configuration, then put a study's tables together


localrules:
    join_table,
    join_classes,
    widen_membership,
    list_unhealthy,
    write_summary,
    write_parquet,


rule tabulate_training:
    """Accuracy, loss and sparsity of the models of a configuration."""
    input:
        scores=all_scores,
    output:
        part_of_table("training_results"),
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
        part_of_table("training_history"),
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
        attack=ATTACK_FILES,
    output:
        part_of_table(
            "membership_metrics",
            ATTACK_FILES.replace(".h5", ".csv"),
            of=each_attack,
        ),
    log:
        f"{LOGS}/membership/{{adversary}}/{{attack}}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        of_groups=False,
        code=code_of("tabulate_membership.py"),
    script:
        "../scripts/tabulate_membership.py"


use rule tabulate_membership as tabulate_group_metrics with:
    output:
        part_of_table(
            "group_metrics",
            ATTACK_FILES.replace(".h5", "-groups.csv"),
            of=each_attack_on_groups,
            needs=GROUPS,
        ),
    log:
        f"{LOGS}/group_metrics/{{adversary}}/{{attack}}.log",
    params:
        cell=cell_of,
        of_groups=True,
        code=code_of("tabulate_membership.py"),


rule tabulate_groups:
    """Exposure of every group of examples of a configuration."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        attack=attacks_on(this_cell, first_attack, "adaptive"),
    output:
        part_of_table("groups", **GROUPED),
    log:
        f"{LOGS}/groups.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        attack=headline,
        code=code_of("tabulate_groups.py"),
    script:
        "../scripts/tabulate_groups.py"


rule tabulate_examples:
    """Exposure of every example of a configuration."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        scores=shadow_scores,
        attack=attacks_on(this_cell, first_attack, "adaptive"),
    output:
        part_of_table("examples", **COMPARED),
    log:
        f"{LOGS}/examples.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        attack=headline,
        names=names_of,
        code=code_of("tabulate_examples.py"),
    script:
        "../scripts/tabulate_examples.py"


rule tabulate_vulnerable:
    """The most vulnerable examples of a configuration, on other shadows than they were chosen on."""
    input:
        scores=shadow_scores,
    output:
        part_of_table("vulnerable", **COMPARED),
    log:
        f"{LOGS}/vulnerable.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        attack=headline,
        code=code_of("tabulate_vulnerable.py", lambda wildcards: [headline(wildcards)]),
    script:
        "../scripts/tabulate_vulnerable.py"


rule tabulate_attack_examples:
    """Which examples of a configuration fall to which attacks."""
    input:
        attacks=attacks_on(this_cell, lambda study: study.attacks, "adaptive"),
    output:
        part_of_table("attack_examples", **COMPARED),
    log:
        f"{LOGS}/attack_examples.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        attacks=lambda wildcards: study_of(wildcards).attacks,
        code=code_of("tabulate_attack_examples.py"),
    script:
        "../scripts/tabulate_attack_examples.py"


rule tabulate_classes:
    """Exposure of each class of a configuration."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        attack=attacks_on(this_cell, first_attack),
    output:
        made(f"{CELL}/per_class.csv"),
    log:
        f"{LOGS}/per_class.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        attack=headline,
        code=code_of("tabulate_classes.py"),
    script:
        "../scripts/tabulate_classes.py"


rule tabulate_privacy_audit:
    """The privacy that training claims, and what it shows."""
    input:
        target_scores=target_scores,
        shadow_scores=first_adversary_scores,
    output:
        part_of_table("privacy_audit", **PRIVATE),
    log:
        f"{LOGS}/privacy_audit.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        own=shadows_are_own,
        delta=lambda wildcards: study_of(wildcards).defenses["dp_sgd"]["delta"],
        code=code_of("tabulate_privacy_audit.py"),
    script:
        "../scripts/tabulate_privacy_audit.py"


rule tabulate_counts:
    """Attacks on the targets of a configuration with fewer shadows."""
    input:
        target_scores=target_scores,
        shadow_scores=shadow_scores,
    output:
        part_of_table("shadow_counts", **OWN_SHADOWS),
    log:
        f"{LOGS}/shadow_counts.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        cell=cell_of,
        attacks=fast_attacks,
        code=code_of("tabulate_counts.py", fast_attacks),
    script:
        "../scripts/tabulate_counts.py"


rule join_table:
    """Put the tables of all configurations of a study together."""
    input:
        table_parts,
    output:
        report(
            "results/{study}/tables/{table}.csv",
            caption="report/caption.rst",
            category="{study}",
            subcategory="tables",
            labels={"table": "{table}"},
        ),
    log:
        "results/logs/{study}/{table}.log",
    wildcard_constraints:
        table=any_of(JOINED),
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("join_tables.py"),
    script:
        "../scripts/join_tables.py"


rule join_classes:
    """Put the exposures of classes together and adjust for their number."""
    input:
        every(f"{CELL}/per_class.csv"),
    output:
        table("per_class"),
    log:
        "results/logs/{study}/per_class.csv.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("join_classes.py"),
    script:
        "../scripts/join_classes.py"


rule compare_variants:
    """What each variant leaks beyond its reference, on identical splits."""
    input:
        attacks=attacks_on(all_cells, first_attack),
    output:
        table("paired_differences"),
    log:
        "results/logs/{study}/paired_differences.csv.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        attack=headline,
        cells=lambda wildcards: [cell.path for cell in all_cells(wildcards)],
        code=code_of("compare_variants.py"),
    script:
        "../scripts/compare_variants.py"


rule widen_membership:
    """All metrics of all attacks, one row for each target."""
    input:
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        table("comprehensive_mia_results"),
    log:
        "results/logs/{study}/comprehensive_mia_results.csv.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("widen_membership.py"),
    script:
        "../scripts/widen_membership.py"


rule list_unhealthy:
    """Shadows that did not converge."""
    input:
        training="results/{study}/tables/training_results.csv",
    output:
        table("health"),
    log:
        "results/logs/{study}/health.csv.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("list_unhealthy.py"),
    script:
        "../scripts/list_unhealthy.py"


rule write_summary:
    """The main numbers as a LaTeX table."""
    input:
        training="results/{study}/tables/training_results.csv",
        membership="results/{study}/tables/membership_metrics.csv",
    output:
        made("results/{study}/tables/summary.tex"),
    log:
        "results/logs/{study}/summary.tex.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("write_summary.py"),
    script:
        "../scripts/write_summary.py"


rule write_parquet:
    """The exposure of examples in a format that keeps types."""
    input:
        examples="results/{study}/tables/examples.csv",
    output:
        made("results/{study}/tables/examples.parquet", **COMPARED),
    log:
        "results/logs/{study}/examples.parquet.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=code_of("write_parquet.py"),
    script:
        "../scripts/write_parquet.py"
