"""A network of the user's own in the workflow: its code is part of its models, in the same run."""

import copy

import pytest
from checkouts import SMALL, Checkout

CODE = """
from torch import nn

def build(input_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, num_classes))
"""
TARGET = "results/small/digits/mine/dense/scores/target-7.h5"
RETRAINED = {"check_network": 1, "train_target": 1, "score_block": 1}


def study(file="mine.py", **changes):
    config = copy.deepcopy(SMALL)
    config["architectures"] = {"mine": {"file": file, "function": "build"}}
    config["recipes"]["short"]["epochs"] = 2
    del config["studies"]["small"]["pruning"]
    config["studies"]["small"] |= {"architectures": ["mine"], "variants": ["dense"]} | changes
    return config


@pytest.mark.slow
def test_what_retrains_and_what_does_not(tmp_path):
    """All of it is planned at once: no run leaves models of older code behind."""
    checkout = Checkout.create(tmp_path / "checkout", study())
    path = checkout.folder / "mine.py"
    path.write_text(CODE)
    checkout.run(TARGET)
    assert checkout.planned(TARGET) == {}
    path.write_text(CODE.replace("ReLU", "GELU"))
    assert checkout.planned(TARGET) == RETRAINED
    path.write_text(f"# a remark\n{CODE}")
    assert checkout.planned(TARGET) == {}
    path.rename(checkout.folder / "moved.py")
    checkout.configure(study("moved.py"))
    assert checkout.planned(TARGET) == {}
    checkout.configure(study("moved.py", variants=["dense", "dense+label_smoothing-0.1"]))
    assert checkout.planned(TARGET) == {}
    other = study("moved.py")
    other["recipes"]["short"]["learning_rate"] = 0.01
    checkout.configure(other)
    assert checkout.planned(TARGET) == RETRAINED
    checkout.run(TARGET)
    assert checkout.planned(TARGET) == {}
