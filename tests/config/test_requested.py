"""Files that a study does not have are refused by name, with what to do."""

import pytest

from shadowmill.config.requested import check_requested
from shadowmill.errors import ConfigError

CELL = "main/digits/small_convnet/dense"
FILES = {
    "main": [
        *(f"{CELL}/models/target-{seed}.safetensors" for seed in (7, 42)),
        *(f"{CELL}/models/shadow-{number:02d}.safetensors" for number in range(12)),
        f"{CELL}/scores/shadow-00.h5",
        f"{CELL}/scores/target-42.h5",
        *(
            f"{CELL}/attacks/adaptive/{attack}.{end}"
            for attack in ("loss", "watson")
            for end in ("h5", "csv")
        ),
        f"{CELL}/per_class.csv",
        "main/digits/small_convnet/dense+ppb-4/attacks/non_adaptive/loss.h5",
        "main/digits/roles/target-42.h5",
        "main/tables/health.csv",
        "main/figures/roc.png",
        f"main/figures/examples-{CELL.partition('/')[2].replace('/', '-')}.png",
    ],
    "drawn": [
        "drawn/class_size-1/heads/train-0000.h5",
        "drawn/class_size-1/reconstruction.csv",
        "drawn/tables/reconstruction.csv",
        "drawn/figures/sweep.png",
    ],
    "backbones": ["backbones/low/model.safetensors", "backbones/low/features/digits.h5"],
    "data": ["data/digits.h5", "data/cifar10.h5"],
}


# As the rules tell of their files.
NEEDS = {
    "curvature": "an attack on curvature, and no subsets",
    "epsilon": "a variant with dp_sgd whose strength is epsilon",
    "examples": "the protocol half, and shadows of its own",
    "subset_sizes": "subsets",
    "sweep": "a sweep in its block of reconstructions",
    "membership": "membership_seeds in its block of reconstructions",
}


@pytest.fixture
def check(raw, read):
    raw["studies"]["main"]["adversaries"] = ["adaptive", "non_adaptive"]
    files = {
        name: lambda files=files: [f"results/{path}" for path in files]
        for name, files in FILES.items()
    }
    config = read(raw)
    return lambda *paths: check_requested(paths, config, files, NEEDS)


def test_what_is_there_is_left_alone_and_so_is_what_is_not_ours(check):
    check(*(f"results/{path}" for paths in FILES.values() for path in paths))
    check("main", "all", "plot_roc", "elsewhere/main/tables/x.csv", "results/reproduction.csv")
    check("./results/main/tables/health.csv", "results/main//tables/../tables/health.csv")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            f"{CELL}/attacks/adaptive/nn.h5",
            "main has no attack nn. Add nn to studies.main.attacks. There is loss, watson",
        ),
        (
            f"{CELL}/attacks/adaptive/wattson.csv",
            "main has no attack wattson. Did you mean watson? Add wattson to studies.main.attacks. "
            "There is loss, watson",
        ),
        (
            f"{CELL}/attacks/original/loss.h5",
            "main has no adversary original. Add original to studies.main.adversaries. There is "
            "adaptive",
        ),
        (
            f"{CELL}/attacks/non_adaptive/loss.h5",
            "main has no attack on dense by non_adaptive. Did you mean adaptive? It is the "
            "adaptive adversary there. There is adaptive",
        ),
        (
            f"{CELL}/attacks/loss.h5",
            "main has no attack loss. Ask for attacks/adaptive/loss: they lie in folders of "
            "adversaries",
        ),
        (
            "main/digits/small_convnet/dense+ppb-4/attacks/non_adaptive/nn.h5",
            "main has no attack nn. Add nn to studies.main.attacks. There is loss",
        ),
        (
            "main/mnist/small_convnet/dense/scores/shadow-00.h5",
            "main has no data set mnist. Add mnist to studies.main.datasets. There is digits",
        ),
        (
            "main/mnist/roles/target-42.h5",
            "main has no data set mnist. Add mnist to studies.main.datasets. There is digits",
        ),
        (
            "main/digits/resnet18/dense/per_class.csv",
            "main has no architecture resnet18. Add resnet18 to studies.main.architectures. "
            "There is small_convnet",
        ),
        (
            "main/digits/small_convnet/dpf-0.5/per_class.csv",
            "main has no variant dpf-0.5. Add dpf-0.5 to studies.main.variants. "
            "There is dense, dense+ppb-4",
        ),
        (
            f"{CELL}/models/target-8.safetensors",
            "main has no model target-8. Did you mean target-7? studies.main.target_seeds and "
            "num_shadows decide that. There is shadow-00, shadow-01, shadow-02, shadow-03, "
            "shadow-04, shadow-05, shadow-06, shadow-07, shadow-08, shadow-09, shadow-10, "
            "shadow-11, …",
        ),
        (
            f"{CELL}/scores/shadow-99.h5",
            "main has no block of models shadow-99. Did you mean shadow-00? "
            "studies.main.target_seeds and num_shadows decide that. There is shadow-00, target-42",
        ),
        (
            "main/digits/roles/shadow-x.h5",
            "main has no block of models shadow-x. studies.main.target_seeds and num_shadows "
            "decide that. There is target-42",
        ),
        (
            "main/tables/helth.csv",
            "main has no table helth. Did you mean health? There is health",
        ),
        (
            "main/tables/curvature.csv",
            "main has no table curvature; it would need an attack on curvature, and no subsets",
        ),
        (
            "main/figures/epsilon.png",
            "main has no figure epsilon; it would need a variant with dp_sgd whose strength is "
            "epsilon",
        ),
        (
            "main/figures/examples-digits-small_convnet-dnse.png",
            "main has no figure examples-digits-small_convnet-dnse. Did you mean "
            "examples-digits-small_convnet-dense? There is examples-digits-small_convnet-dense, "
            "roc",
        ),
        (
            f"{CELL}/examples.csv",
            "main has no file examples; it would need the protocol half, and shadows of its own",
        ),
        (
            "mian/tables/health.csv",
            "there is no study 'mian'. Did you mean main? Known: main, other, apart, prefixes, "
            "features, drawn, odd, person, away, home",
        ),
        ("logs/main/x.log", "a log cannot be asked for. Ask for the file whose job writes it"),
        (
            "data/cifar11.h5",
            "there is no data set 'cifar11'. Did you mean cifar10? Known: cifar10, digits",
        ),
        (
            "drawn/class_size-9/reconstruction.csv",
            "drawn has no setting class_size-9. Did you mean class_size-1? "
            "reconstructions.drawn.sweep decides that. There is class_size-1",
        ),
        (
            "drawn/class_size-1/heads/train-0999.h5",
            "drawn has no shard of heads train-0999. Did you mean train-0000? "
            "reconstructions.drawn.train_heads and membership_seeds decide that. "
            "There is train-0000",
        ),
        (
            "drawn/class_size-1/membership.h5",
            "drawn has no file membership; it would need membership_seeds in its block of "
            "reconstructions",
        ),
        (
            "backbones/high/model.safetensors",
            "backbones has no network high. The section backbones decides that. There is low",
        ),
        (
            "backbones/low/features/svhn.h5",
            "backbones has no features of svhn. The reconstructions with the backbone low need "
            "others. There is digits",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_key(check, path, message):
    with pytest.raises(ConfigError) as caught:
        check(f"results/{path}")
    head, line = str(caught.value).splitlines()
    assert head == "asked for what is not there:"
    assert line.strip() == f"results/{path}: {message}"


def test_all_are_told_at_once(check):
    with pytest.raises(ConfigError) as caught:
        check("results/main/tables/a.csv", "results/main/tables/health.csv", "results/drawn/b/c.h5")
    assert len(str(caught.value).splitlines()) == 3
