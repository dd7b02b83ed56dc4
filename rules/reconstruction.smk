# Inputs:  results/data/{dataset}.h5
# Outputs: results/backbones/{backbone}/model.safetensors, results/backbones/{backbone}/features/{dataset}.h5,
#          results/{reconstruction}/{setting}/…, and the tables and figures of the reconstruction
# Steps:   train or load a backbone; deep features; heads, a shard for each permutation of the data;
#          statistics of their weights; a reconstructor; reconstructions of the test heads' training
#          examples, and from weights of no head; a membership attack on the same heads
#
# Backbones and features do not belong to one study: all that name them share them.
# The reconstructor and what it waits for go first: they are the longest path, one after the other.


rule backbone:
    """Train the network that gives deep features, or take one that is trained."""
    input:
        data=ancient(backbone_data),
        weights=backbone_weights,
    output:
        "results/backbones/{backbone}/model.safetensors",
    log:
        "results/logs/backbones/{backbone}/backbone.log",
    priority: 2
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=BACKBONES_VERSION,
        examples=lambda wildcards: examples_of_set(data_of_backbone(wildcards)),
        settings=lambda wildcards: BACKBONES[wildcards.backbone],
        network=lambda wildcards: backbone_code(
            BACKBONES[wildcards.backbone]["architecture"]
        ),
        state="results/.unfinished/backbones/{backbone}",
    script:
        "../scripts/train_backbone.py"


rule deep_features:
    """Deep features of all examples of a data set."""
    input:
        data=ancient("results/data/{dataset}.h5"),
        backbone="results/backbones/{backbone}/model.safetensors",
    output:
        "results/backbones/{backbone}/features/{dataset}.h5",
    log:
        "results/logs/backbones/{backbone}/features-{dataset}.log",
    priority: 2
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=BACKBONES_VERSION,
        examples=examples_of,
        settings=lambda wildcards: BACKBONES[wildcards.backbone],
    script:
        "../scripts/extract_features.py"


rule train_heads:
    """Train the heads of one permutation of the data."""
    input:
        data=ancient(head_data),
        features=head_features,
    output:
        f"{SETTING}/heads/{{shard}}.h5",
    log:
        f"{SETTING_LOGS}/heads-{{shard}}.log",
    priority: 2
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=HEADS_VERSION,
        shard=shard_params,
    script:
        "../scripts/train_heads.py"


rule weight_statistics:
    """Mean, deviation and correlation of the weights of all heads."""
    input:
        features=head_features,
        shards=train_shards,
    output:
        f"{SETTING}/weight_statistics.h5",
    log:
        f"{SETTING_LOGS}/weight_statistics.log",
    priority: 2
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=HEADS_VERSION,
    script:
        "../scripts/measure_weights.py"


rule train_reconstructor:
    """Train the network that draws a training example from the weights of a head."""
    input:
        data=ancient(head_data),
        features=head_features,
        shards=train_shards,
        validation_shard=validation_shard,
        statistics=f"{SETTING}/weight_statistics.h5",
        perceptual=perceptual_weights,
    output:
        model=f"{SETTING}/reconstructor.safetensors",
        curve=f"{SETTING}/learning_curve.csv",
    log:
        f"{SETTING_LOGS}/train_reconstructor.log",
    priority: 2
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=RECONSTRUCTOR_VERSION,
        sets=set_settings,
        heads=head_settings,
        reconstructor=reconstructor_settings,
        network=generator_code(),
        state=SETTING.replace("results", "results/.unfinished", 1),
    script:
        "../scripts/train_reconstructor.py"


rule reconstruct:
    """Reconstruct training examples from the test heads, and from weights of no head."""
    input:
        data=ancient(test_data),
        features=test_features,
        shard=test_shard,
        train_data=ancient(head_data),
        statistics=f"{SETTING}/weight_statistics.h5",
        reconstructor=f"{SETTING}/reconstructor.safetensors",
    output:
        f"{SETTING}/reconstructions.h5",
    log:
        f"{SETTING_LOGS}/reconstruct.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=RECONSTRUCTOR_VERSION,
        sets=test_set_settings,
        train_sets=set_settings,
        nearest_quantile=lambda wildcards: reconstruction_of(wildcards).nearest_quantile,
    script:
        "../scripts/reconstruct.py"


rule head_membership:
    """Attack the membership of the examples that the test heads were trained on."""
    input:
        features=head_features,
        shards=membership_shards,
    output:
        f"{SETTING}/membership.h5",
    log:
        f"{SETTING_LOGS}/head_membership.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        version=HEADS_VERSION,
        code=reconstruction_code("attack_heads.py"),
    script:
        "../scripts/attack_heads.py"


rule tabulate_reconstruction:
    """How often reconstruction succeeds, against how often it seems to."""
    input:
        f"{SETTING}/reconstructions.h5",
    output:
        made(f"{SETTING}/reconstruction.csv", of=each_setting),
    log:
        f"{SETTING_LOGS}/tabulate_reconstruction.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        thresholds=published_thresholds,
        parameter=lambda wildcards: setting_of(wildcards).parameter,
        value=lambda wildcards: setting_of(wildcards).value,
        tested=lambda wildcards: tested(reconstruction_of(wildcards)).dataset,
        task=lambda wildcards: reconstruction_of(wildcards).task,
        code=reconstruction_code("tabulate_reconstruction.py"),
    script:
        "../scripts/tabulate_reconstruction.py"


rule join_reconstructions:
    """The tables of all settings as one."""
    input:
        lambda wildcards: expanded(
            f"{SETTING}/reconstruction.csv", reconstruction_of(wildcards)
        ),
    output:
        table(
            "reconstruction",
            """True-positive rates of reconstruction with 95 % intervals over test heads (and over
            heads and classes both), for each class and for all pooled, by three methods and at
            thresholds. docs/results.md says what the columns mean.""",
            owner="{reconstruction}",
            of=each_setting,
        ),
    log:
        "results/logs/{reconstruction}/join_reconstructions.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=reconstruction_code("join_tables.py"),
    script:
        "../scripts/join_tables.py"


rule plot_reconstruction_roc:
    """True against false positive rates of reconstruction."""
    input:
        reconstructions=f"{SETTING}/reconstructions.h5",
    output:
        figure(
            "roc-{setting}",
            "ROC",
            """True- against false-positive rate of reconstruction on logarithmic axes, all classes
            pooled. True positives: reconstructions from heads that are as near to a training
            example as a threshold asks; false positives: images drawn from weights of no head
            (of the Gaussian fitted to all heads) that are as near to the same examples. Lines:
            by counting, by the likelihood ratio of two Gaussians fitted to logit(error / 4)
            (Neyman-Pearson), and the closed form of these Gaussians.""",
            owner="{reconstruction}",
            of=each_setting,
        ),
    log:
        f"{SETTING_LOGS}/plot_roc.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=reconstruction_code("plot_reconstruction_roc.py"),
    script:
        "../scripts/plot_reconstruction_roc.py"


rule plot_min_mse:
    """Errors of reconstructions from heads and from no heads."""
    input:
        reconstructions=f"{SETTING}/reconstructions.h5",
    output:
        figure(
            "min_mse-{setting}",
            "errors",
            """Errors of reconstructions (mean squared error to the nearest training example in
            question, images scaled to -1...1) from heads, and from weights of no head. Marked:
            the thresholds below which a reconstruction counts as one.""",
            owner="{reconstruction}",
            of=each_setting,
        ),
    log:
        f"{SETTING_LOGS}/plot_min_mse.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        thresholds=published_thresholds,
        code=reconstruction_code("plot_min_mse.py"),
    script:
        "../scripts/plot_min_mse.py"


rule plot_gallery:
    """Training examples and their reconstructions."""
    input:
        reconstructions=f"{SETTING}/reconstructions.h5",
    output:
        figure(
            "gallery-{setting}",
            "gallery",
            """Training examples of the first test heads, what the reconstructor draws from these
            heads, and what it draws from weights of no head. Ticks: errors below the threshold
            that follows from the data.""",
            owner="{reconstruction}",
            of=each_setting,
        ),
    log:
        f"{SETTING_LOGS}/plot_gallery.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=reconstruction_code("plot_gallery.py"),
    script:
        "../scripts/plot_gallery.py"


rule plot_learning_curve:
    """How the reconstructor learned."""
    input:
        curve=f"{SETTING}/learning_curve.csv",
    output:
        figure(
            "learning_curve-{setting}",
            "learning curve",
            """Loss of the reconstructor in training, and its errors on test heads and on weights
            of no head as training went on. The last step is kept; nothing is chosen by this
            curve.""",
            owner="{reconstruction}",
            of=each_setting,
        ),
    log:
        f"{SETTING_LOGS}/plot_learning_curve.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=reconstruction_code("plot_learning_curve.py"),
    script:
        "../scripts/plot_learning_curve.py"


rule plot_head_membership:
    """Whether reconstructed examples are also exposed as members."""
    input:
        membership=f"{SETTING}/membership.h5",
        reconstructions=f"{SETTING}/reconstructions.h5",
    output:
        figure(
            "membership-{setting}",
            "reconstruction and membership",
            """Does a reconstructed example also have a high membership score? LiRA on the same
            test heads, with heads of other permutations as shadows: the share of examples whose
            reconstruction succeeds by decile of the score, and both for each example.""",
            owner="{reconstruction}",
            of=lambda study: each_setting(study) if study.membership_seeds else [],
            needs="membership_seeds in its block of reconstructions",
        ),
    log:
        f"{SETTING_LOGS}/plot_membership.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        code=reconstruction_code("plot_head_membership.py"),
    script:
        "../scripts/plot_head_membership.py"


rule plot_sweep:
    """Reconstruction rate against what is swept."""
    input:
        table="results/{reconstruction}/tables/reconstruction.csv",
    output:
        figure(
            "sweep",
            "sweep",
            """True-positive rates of reconstruction at fixed false-positive rates against the
            setting that the study varies; bars are 95 % intervals over test heads.""",
            owner="{reconstruction}",
            of=lambda study: each_setting(study) if study.sweep else [],
            needs="a sweep in its block of reconstructions",
        ),
    log:
        "results/logs/{reconstruction}/plot_sweep.log",
    conda:
        "../envs/shadowmill.yaml"
    params:
        parameter=lambda wildcards: next(iter(reconstruction_of(wildcards).sweep)),
        code=reconstruction_code("plot_sweep.py"),
    script:
        "../scripts/plot_sweep.py"
