# Inputs:  the score files of a configuration, with the shadows of another one if the adversary is
#          not adaptive; the data set where an attack looks at the examples themselves
# Outputs: results/{study}/{dataset}/{architecture}/{variant}/attacks/{adversary}/{attack}.h5
# Steps:   attack every target with the shadows, and every shadow with the other shadows; a rule of
#          its own for attacks that train networks, as they want a GPU


rule attack:
    """One attack on all models of a configuration."""
    input:
        target_scores=target_scores,
        shadow_scores=adversary_scores,
        data=examples_for_attack,
        groups=data_with_groups,
    output:
        made(ATTACK_FILES, of=each_attack),
    log:
        f"{LOGS}/attacks/{{adversary}}/{{attack}}.log",
    wildcard_constraints:
        attack=any_of(name for name in ATTACKS if name not in NETWORK_ATTACKS),
    conda:
        "../envs/shadowmill.yaml"
    params:
        target_training=training_settings,
        shadow_training=adversary_training,
        adversary=who_attacks,
        drop_unhealthy=lambda wildcards: study_of(wildcards).unhealthy_shadows == "drop",
        code=code_of("run_attack.py"),
    script:
        "../scripts/run_attack.py"


use rule attack as attack_by_network with:
    wildcard_constraints:
        attack=any_of(NETWORK_ATTACKS),
