# Inputs:  the score files of a configuration; of shadows without its defence, if the study's
#          adversary is not adaptive
# Outputs: results/{study}/{dataset}/{architecture}/{variant}/attacks/{attack}.h5
# Steps:   attack every target with the shadows, and every shadow with the other shadows


rule attack:
    """One attack on all models of a configuration."""
    input:
        target_scores=target_scores,
        shadow_scores=shadow_scores,
    output:
        f"{CELL}/attacks/{{attack}}.h5",
    log:
        f"{LOGS}/attack-{{attack}}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        adaptive=is_adaptive,
        code=code_of("run_attack.py"),
    script:
        "../scripts/run_attack.py"
