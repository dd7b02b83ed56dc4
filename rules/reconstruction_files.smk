# Names of the files of reconstructions, and what their jobs are told.

from shadowmill.config.reconstruction import TEST_SHARD, VALIDATION_SHARD
from shadowmill.reconstruction import (
    BACKBONES_VERSION,
    HEADS_VERSION,
    RECONSTRUCTOR_VERSION,
)
from shadowmill.reconstruction.backbones import require_weights

BACKBONES = CONFIG.backbones
RECONSTRUCTIONS = CONFIG.reconstructions
BUILT_RECONSTRUCTIONS = [
    RECONSTRUCTIONS[name] for name in CONFIG.build if name in RECONSTRUCTIONS
]
SETTING = "results/{reconstruction}/{setting}"
SETTING_LOGS = SETTING.replace("results", "results/logs", 1)


wildcard_constraints:
    backbone=any_of(BACKBONES),
    reconstruction=any_of(RECONSTRUCTIONS),
    setting=any_of(s.name for r in RECONSTRUCTIONS.values() for s in r.settings),
    shard=r"(train|test)-\d\d\d\d+",


def reconstruction_of(wildcards):
    """The reconstruction that a job belongs to."""
    return RECONSTRUCTIONS[wildcards.reconstruction]


def setting_of(wildcards):
    """The point of its sweep that a job belongs to."""
    return reconstruction_of(wildcards).setting(wildcards.setting)


def tested(reconstruction):
    """The reconstruction whose test heads one is judged by: itself, or another."""
    return RECONSTRUCTIONS[reconstruction.test_on or reconstruction.name]


def data_of_backbone(wildcards):
    """The name of the data set that a backbone is trained on."""
    return BACKBONES[wildcards.backbone]["dataset"]


def backbone_data(wildcards):
    """The data set that a backbone is trained on."""
    return f"results/data/{data_of_backbone(wildcards)}.h5"


def backbone_weights(wildcards):
    """The file that a backbone starts from, if any; once there is a backbone, it may go."""
    backbone = BACKBONES[wildcards.backbone]
    weights = backbone["weights"]
    if weights is None or exists(weights):
        return weights or []
    if not exists(f"results/backbones/{wildcards.backbone}/model.safetensors"):
        with mistakes_while_planning():
            require_weights(weights, backbone["architecture"])
    return []


def features_of(reconstruction):
    """Deep features of the examples of a reconstruction."""
    return f"results/backbones/{reconstruction.backbone}/features/{reconstruction.dataset}.h5"


def head_features(wildcards):
    """Deep features that heads are trained on."""
    return features_of(reconstruction_of(wildcards))


def head_data(wildcards):
    """The data set that heads are trained on."""
    return f"results/data/{reconstruction_of(wildcards).dataset}.h5"


def test_features(wildcards):
    """Deep features that the test heads are trained on."""
    return features_of(tested(reconstruction_of(wildcards)))


def test_data(wildcards):
    """The data set that the test heads are trained on."""
    return f"results/data/{tested(reconstruction_of(wildcards)).dataset}.h5"


def shard_params(wildcards):
    """What a shard of heads is."""
    study, setting = reconstruction_of(wildcards), setting_of(wildcards)
    split, seed = wildcards.shard.split("-")
    return {
        "split": split,
        "permutation_seed": int(seed),
        "num_heads": study.shard_size(setting, wildcards.shard),
        "sets": study.set_settings(setting),
        "heads": study.head_settings(setting),
        "materialise": study.materialise,
    }


def set_settings(wildcards):
    """What the training sets of heads are drawn from."""
    return reconstruction_of(wildcards).set_settings(setting_of(wildcards))


def head_settings(wildcards):
    """How heads are trained."""
    return reconstruction_of(wildcards).head_settings(setting_of(wildcards))


def test_set_settings(wildcards):
    """What the training sets of the test heads are drawn from."""
    study = reconstruction_of(wildcards)
    other = tested(study)
    setting = setting_of(wildcards) if other is study else other.settings[0]
    return other.set_settings(setting)


def perceptual_weights(wildcards):
    """Files for the perceptual term of the loss, if it has one."""
    perceptual = reconstruction_of(wildcards).reconstructor.get("perceptual", {})
    return list(perceptual.values())


def reconstructor_settings(wildcards):
    """How a reconstructor is trained."""
    return reconstruction_of(wildcards).reconstructor_settings()


def published_thresholds(wildcards):
    """Errors below which a reconstruction counts as one, by name, but for that of the data."""
    threshold = reconstruction_of(wildcards).threshold
    return {} if threshold is None else {"published": threshold}


def shard_files(reconstruction, setting, names):
    """Files of some shards."""
    folder = f"results/{reconstruction.folder(setting.name)}/heads"
    return [f"{folder}/{name}.h5" for name in names]


def train_shards(wildcards):
    """The heads that a reconstructor learns from."""
    study, setting = reconstruction_of(wildcards), setting_of(wildcards)
    return shard_files(study, setting, study.train_shards(setting))


def validation_shard(wildcards):
    """The heads of the learning curve."""
    study, setting = reconstruction_of(wildcards), setting_of(wildcards)
    return shard_files(study, setting, [VALIDATION_SHARD])


def test_shard(wildcards):
    """The heads that a reconstructor is judged by."""
    study = reconstruction_of(wildcards)
    other = tested(study)
    setting = setting_of(wildcards) if other is study else other.settings[0]
    return shard_files(other, setting, [TEST_SHARD])


def membership_shards(wildcards):
    """The test heads and the shadows of the membership attack on them."""
    study, setting = reconstruction_of(wildcards), setting_of(wildcards)
    return shard_files(study, setting, study.membership_shards())
