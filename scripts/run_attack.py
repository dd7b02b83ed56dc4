"""Rule attack."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.attacks.run import run_attack

    run_attack(
        attack=snakemake.wildcards.attack,
        target_scores=snakemake.input.target_scores,
        shadow_scores=snakemake.input.shadow_scores,
        target_training=snakemake.params.target_training,
        shadow_training=snakemake.params.shadow_training,
        adversary=snakemake.params.adversary,
        drop_unhealthy=snakemake.params.drop_unhealthy,
        data_path=next(iter(snakemake.input.data), None),
        groups_path=next(iter(snakemake.input.groups), None),
        output=snakemake.output[0],
        execution=snakemake.config["execution"],
        threads=snakemake.threads,
    )
