# Inputs:  rules/published.yaml, and what there is of the tables of the studies in it
# Outputs: results/reproduction.csv, made again each time
# Steps:   compare. The tables are no inputs: the studies are run by their own names, not from here.


localrules:
    reproduce,


rule reproduce:
    """Published results beside ours, as far as their studies have been run."""
    log:
        "results/logs/reproduction.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        membership=lambda wildcards: [
            path for path in map(membership_table, STUDIES) if exists(path)
        ],
    script:
        "../scripts/compare_published.py"


rule tabulate_privacy:
    """Published privacy budgets of heads, and what the accountant says of two sampling rates."""
    output:
        "results/published_epsilon.csv",
    log:
        "results/logs/published_epsilon.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        content=content_of(f"{workflow.basedir}/rules/published_epsilon.yaml"),
        code=lambda wildcards: source_digest(f"{SCRIPTS}/tabulate_privacy.py"),
    script:
        "../scripts/tabulate_privacy.py"
