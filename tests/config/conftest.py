import copy
import re
from pathlib import Path

import pytest
import yaml

from shadowmill.config import load
from shadowmill.errors import ConfigError

ROOT = Path(__file__).parents[2]

# Small, valid, and with every optional part that a fault can hide in.
VALID = yaml.safe_load("""
build: [main]
recipes:
  short:
    learning_rate: 0.1
    schedule: {name: multistep, milestones: [4, 6], gamma: 0.1}
    epochs: 8
    batch_size: 32
  cycle:
    learning_rate: 0.02
    schedule: {name: one_cycle, warmup: 0.2}
    epochs: 5
    batch_size: 16
  stopped:
    optimizer: adam
    learning_rate: 0.001
    schedule: {name: constant}
    epochs: 5
    batch_size: 16
    early_stopping: {patience: 2}
studies:
  main:
    datasets: [digits, cifar10]
    architectures: [small_convnet, resnet18]
    variants: [dense, static-0.9, dpf-0.5, static-0.5]
    recipe: short
    pruning:
      static: {epoch: 3}
      dpf: {every: 2, target_epoch: 4}
    target_seeds: [42, 7]
    num_shadows: 16
    models_per_job: 4
    attacks: [lira_online, lira_offline]
  other:
    datasets: [digits]
    architectures: [small_convnet]
    variants: [dense]
    recipe: cycle
    target_seeds: [1]
    num_shadows: 8
    models_per_job: 8
    attacks: [lira_offline]
  apart:
    datasets: [digits]
    architectures: [resnet20]
    variants: [dense, l1_unstructured-0.5, slim-0.5, slim-0.5+ppb-4]
    recipe: stopped
    fine_tune: cycle
    protocol: disjoint
    pruning:
      l1_unstructured: {epoch: 0}
      slim: {epoch: 0}
    target_seeds: [1]
    num_shadows: 5
    models_per_job: 5
    attacks: [loss]
  prefixes:
    datasets: [digits]
    architectures: [small_convnet]
    variants: [dense, dense+label_smoothing-0.1]
    recipe: cycle
    adversaries: [non_adaptive]
    subsets: {sizes: [100, 900]}
    target_seeds: [1, 2]
    num_shadows: 8
    models_per_job: 4
    attacks: [lira_offline]
  features:
    datasets: [location]
    architectures: [mlp]
    variants: [dense, l1_unstructured-0.5]
    recipe: stopped
    validation: 0.1
    pruning: {l1_unstructured: {epoch: 1}}
    target_seeds: [1]
    num_shadows: 8
    models_per_job: 8
    attacks: [lira_offline]
backbones:
  low:
    dataset: digits
    classes: [0, 1, 2]
    architecture: tiny_cnn
    phases: [{epochs: 2, learning_rate: 0.1, batch_size: 16}]
  letters:
    dataset: emnist_letters
    architecture: tiny_vgg
    weights: somewhere.pth
  faces:
    dataset: celeba
    labels: attributes
    architecture: wide_resnet50_2
    weights: somewhere.pth
reconstructions:
  drawn:
    backbone: low
    dataset: digits
    classes: [5, 6, 7]
    test_fraction: 0.4
    heads: {epochs: 5, epochs_per_class_size: 2, learning_rate: 0.1, init_std: 0.01}
    sweep: {class_size: [1, 2]}
    train_heads: {seeds: 3, per_seed: 8}
    test_heads: 5
    membership_seeds: 2
    reconstructor: {image_size: 8, width: 4, steps: 10}
  odd:
    backbone: letters
    dataset: mnist
    task: binary
    positive: [1, 3, 5, 7, 9]
    heads:
      epochs: 5
      learning_rate: 0.1
      init_std: 0.01
      hidden: 4
      privacy: {noise_multiplier: 1, max_grad_norm: 1}
    train_heads: {seeds: 3, per_seed: 8}
    test_heads: 5
    reconstructor: {image_size: 32, width: 4, steps: 10}
  person:
    backbone: faces
    dataset: celeba
    task: identity
    heads:
      epochs: 5
      learning_rate: 0.1
      init_std: 0.01
      hidden: 4
      restart: {above: 0.1, times: 3}
    sweep: {class_size: [1, 4]}
    train_heads: {seeds: 3, per_seed: 8}
    test_heads: 5
    reconstructor: {image_size: 64, width: 4, steps: 10, conditional: false}
  away:
    backbone: letters
    dataset: emnist_letters
    random_labels: 10
    heads: {epochs: 5, learning_rate: 0.1, init_std: 0.01}
    train_heads: {seeds: 3, per_seed: 8}
    test_heads: 5
    reconstructor: {image_size: 32, width: 4, steps: 10}
    test_on: home
  home:
    backbone: letters
    dataset: mnist
    heads: {epochs: 5, learning_rate: 0.1, init_std: 0.01}
    train_heads: {seeds: 3, per_seed: 8}
    test_heads: 5
    reconstructor: {image_size: 32, width: 4, steps: 10}
""")


@pytest.fixture
def raw():
    """A valid configuration that the test may change."""
    return copy.deepcopy(VALID)


@pytest.fixture
def read():
    """`load` with the workflow's own schema."""
    return load


@pytest.fixture
def study(raw, read):
    """A study of the configuration as it stands, by name."""
    return lambda name: read(raw).studies[name]


@pytest.fixture
def reconstruction(raw, read):
    """A reconstruction of the configuration as it stands, by name."""
    return lambda name: read(raw).reconstructions[name]


@pytest.fixture
def faults(read):
    """The faults that a configuration is refused for, one line each."""

    def listed(raw):
        with pytest.raises(ConfigError) as caught:
            read(raw)
        head, *lines = str(caught.value).splitlines()
        count = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
        assert head == (
            f"the configuration (workflow_config.yaml, --configfile, --config) has {count}:"
        )
        assert all(line.startswith("  ") for line in lines)
        # "…: missing. " and nothing after it leaves the reader alone.
        assert not any(line.endswith((" ", ":", ";")) for line in lines)
        return [line.removeprefix("  ") for line in lines]

    return listed


@pytest.fixture
def change(raw):
    def apply(key, value):
        """Set `a.b[0].c` to a value, or with `...` delete it."""
        parts = re.findall(r"[^.\[\]]+", key)
        *parents, last = [int(part) if part.isdigit() else part for part in parts]
        place = raw
        for part in parents:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return apply


@pytest.fixture
def fault(raw, change, faults):
    """The one fault of the configuration after some changes, each a key and its value."""

    def only(changes):
        for key, value in changes.items():
            change(key, value)
        (line,) = faults(raw)
        return line

    return only
