"""A finished model in the workflow: audited with shadows that are trained here."""

import copy
import os

import numpy as np
import pandas as pd
import pytest
import torch
from checkouts import SMALL, Checkout

from shadowmill import roles
from shadowmill.data.readers.digits import digits

SCORES = "results/small/digits/small_convnet/dense/scores/target-release.h5"
MEMBERS = np.arange(0, 1797, 2)


def released(path, seed=1):
    """A network that a user trained on every other digit, with torch alone."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, padding=1, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 3, padding=1, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10),
    )
    data = digits(None)
    inputs = (torch.from_numpy(data.inputs)[MEMBERS].float() / 255 - 0.3) / 0.4
    labels = torch.from_numpy(data.labels)[MEMBERS]
    optimizer = torch.optim.Adam(network.parameters(), 0.003)
    for _ in range(80):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(inputs.movedim(-1, 1)), labels).backward()
        optimizer.step()
    torch.save({"state_dict": network.state_dict(), "epoch": 80}, path)


@pytest.mark.slow
def test_a_finished_model_against_a_pruned_one_trained_here(tmp_path):
    config = copy.deepcopy(SMALL)
    del config["studies"]["small"]["target_seeds"]
    model = {"file": "release.pth", "members": "members.npy", "mean": [0.3], "std": [0.4]}
    config["studies"]["small"] |= {
        "variants": ["dense", "static-0.5"],
        "imports": {"dense": {"targets": {"release": model}}},
        "pruning": {"static": {"epoch": 3}},
    }
    checkout = Checkout.create(tmp_path / "checkout", config)
    released(checkout.folder / "release.pth")
    np.save(checkout.folder / "members.npy", MEMBERS)
    planned = checkout.planned("small")
    assert (planned["import_target"], planned["train_target"]) == (1, 1)
    checkout.run("small")

    table = pd.read_csv(checkout.results / "small/tables/membership_metrics.csv")
    assert set(table["adversary"]) == {"imported"}
    # Judged by the finished model, not by its shadows.
    ends = {name for name in table["target"] if not name.startswith("target-release")}
    assert ends == {"targets-mean", "targets-pooled"}
    counts = table[["num_members", "num_nonmembers"]].drop_duplicates()
    assert counts.to_numpy().tolist() == [[899, 898]]
    compared = pd.read_csv(checkout.results / "small/tables/paired_differences.csv")
    assert set(compared["variant"]) == {"static-0.5"}
    imported = pd.read_csv(checkout.results / "small/tables/imported.csv")
    assert set(imported["variant"]) == {"dense"}
    assert set(imported["num_members"]) == {899}
    training = pd.read_csv(checkout.results / "small/tables/training_results.csv")
    own = training[training["model"] == "target-release"].set_index("variant")
    assert own.loc["dense", "train_accuracy"] > 0.9
    assert np.isnan(own.loc["dense", "epochs"])

    assert checkout.planned("small") == {}
    os.utime(checkout.folder / "members.npy")  # touched, and says the same
    assert checkout.planned("small") == {}
    released(checkout.folder / "release.pth", seed=2)
    planned = checkout.planned(SCORES)
    assert planned == {"import_target": 1, "score_block": 1}
    np.save(checkout.folder / "members.npy", MEMBERS[1:])
    assert "train_shadows_4" in checkout.planned("small")


@pytest.mark.slow
def test_examples_that_exchange_their_names_exchange_their_roles(tmp_path):
    """The list says the same, the features too: only what examples are called is another."""
    config = copy.deepcopy(SMALL)
    config["datasets"] = {"people": {"table": "people.csv", "label": "y", "id": "who"}}
    model = {"file": "release.pth", "members": "members.txt"}
    config["studies"]["small"] |= {
        "datasets": ["people"],
        "architectures": ["mlp"],
        "variants": ["dense"],
        "pruning": {},
        "imports": {"dense": {"targets": {"release": model}}},
    }
    config["recipes"]["short"]["batch_size"] = 8
    checkout = Checkout.create(tmp_path / "checkout", config)
    (checkout.folder / "release.pth").write_bytes(b"")
    (checkout.folder / "members.txt").write_text("\n".join(f"p{k}" for k in range(20)))
    names = [f"p{k}" for k in range(40)]

    def people():
        rows = [f"{name},{index % 7},{index % 2}" for index, name in enumerate(names)]
        (checkout.folder / "people.csv").write_text("\n".join(["who,a,y", *rows]) + "\n")

    target = "results/small/people/roles/target-release.h5"
    people()
    checkout.run(target)
    assert roles.load(checkout.folder / target).roles_MN[0, [0, 39]].tolist() == [1, 3]
    names[0], names[39] = names[39], names[0]
    people()
    checkout.run(target)
    assert roles.load(checkout.folder / target).roles_MN[0, [0, 39]].tolist() == [3, 1]


def test_a_list_that_does_not_fit_ends_before_anything_is_trained(fresh):
    config = copy.deepcopy(SMALL)
    model = {"file": "release.pth", "members": "members.txt"}
    config["studies"]["small"]["imports"] = {"static-0.5": {"targets": {"release": model}}}
    fresh.configure(config)
    (fresh.folder / "release.pth").write_bytes(b"")
    (fresh.folder / "members.txt").write_text("1\n1797\n")
    output = fresh.run(expect=1)
    assert "members.txt: 1797: no index of the 1797 examples, which go from 0 to 1796" in output
    assert "Traceback" not in output
    assert not list(fresh.results.rglob("*.safetensors"))
