"""The table of data sets: every row can be read, and none has changed its name."""

import ast
import subprocess
import sys
from importlib import import_module

import pytest

from shadowmill.data import DATASETS

NAMES = (
    "digits", "fashion_mnist", "cifar10", "cifar100", "mnist", "emnist_letters", "svhn", "chmnist",
    "imagenet", "celeba", "purchase100", "texas100", "location",
)  # fmt: skip


def test_names_and_order():
    assert tuple(DATASETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_row_names_a_reader_called_like_itself(name):
    module, function = DATASETS[name].reader.split(":")
    assert function == name
    assert callable(getattr(import_module(f"shadowmill.data.{module}"), function))


def test_titles_are_told_apart():
    assert len({entry.title for entry in DATASETS.values()}) == len(NAMES)


def test_the_table_costs_nothing_to_import():
    heavy = ("numpy", "torch", "torchvision", "PIL", "h5py", "sklearn")
    code = f"import sys, shadowmill.data; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(shown.stdout) == []
