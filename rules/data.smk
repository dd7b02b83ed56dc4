# Inputs:  published data sets, from data.root or downloaded into it
# Outputs: results/data/{dataset}.h5, results/{study}/{dataset}/roles/{block}.h5
# Steps:   read or download a data set; draw who trains on what
#
# A list of its files decides whether a data set is prepared again, the digest of its examples
# whether anything is computed again with it. That is known only afterwards, so preparing again is a
# checkpoint: Snakemake then looks at its whole plan once more. Preparing for the first time is none,
# as all of the plan is known.


localrules:
    dataset,
    roles,


rule dataset:
    """Read a data set, or download it first: on this machine, as compute nodes may lack a network."""
    output:
        "results/data/{dataset}.h5",
    log:
        "results/logs/data/{dataset}.log",
    wildcard_constraints:
        dataset=any_of(name for name in CONFIG.datasets if name not in PREPARED),
    conda:
        "../envs/shadowmill.yaml"
    params:
        listing=lambda wildcards: listing_of_set(wildcards.dataset),
        record=lambda wildcards: record_of(wildcards.dataset),
    script:
        "../scripts/prepare_dataset.py"


if PREPARED:

    localrules:
        dataset_again,

    # Snakemake cannot `use` a rule as a checkpoint.
    checkpoint dataset_again:
        """Read a data set whose files changed, or whose prepared file was deleted."""
        output:
            "results/data/{dataset}.h5",
        log:
            "results/logs/data/{dataset}.log",
        wildcard_constraints:
            dataset=any_of(PREPARED),
        conda:
            "../envs/shadowmill.yaml"
        params:
            listing=lambda wildcards: listing_of_set(wildcards.dataset),
            record=lambda wildcards: record_of(wildcards.dataset),
        script:
            "../scripts/prepare_dataset.py"


rule roles:
    """Draw who trains on what, for the models of a block."""
    input:
        data=roles_data,
        order=roles_order,
        lists=given_lists,
    output:
        "results/{study}/{dataset}/roles/{block}.h5",
    log:
        "results/logs/{study}/{dataset}/roles-{block}.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        seed=lambda wildcards: study_of(wildcards).seed,
        model_keys=lambda wildcards: study_of(wildcards).keys(wildcards.block),
        num_examples=lambda wildcards: study_of(wildcards).num_examples(
            wildcards.dataset
        ),
        protocol=lambda wildcards: study_of(wildcards).protocol,
        validation=lambda wildcards: study_of(wildcards).validation,
        order=order_file,
        given=lambda wildcards: study_of(wildcards).given,
        # Lists that are touched redraw nothing: all would be trained again.
        lists=lambda wildcards: [file_digest(path) for path in given_lists(wildcards)],
        # By which the lists name examples.
        names=lambda wildcards: (
            names_of(wildcards) if study_of(wildcards).given else None
        ),
        examples=lambda wildcards: (
            examples_of(wildcards) if roles_data(wildcards) else None
        ),
    script:
        "../scripts/draw_roles.py"
