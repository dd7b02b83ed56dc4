"""Networks of the user's own as jobs see them: checked, stacked or not, trained, scored."""

import json

import pytest
import torch
from jobs_for_tests import PRUNING, settings_of

from shadowmill import roles, storage
from shadowmill.architectures import own
from shadowmill.architectures.code import code_of
from shadowmill.errors import ArtefactError, ConfigError
from shadowmill.scores.score import score_block
from shadowmill.training.block import train_block
from shadowmill.training.modelfile import read_model
from shadowmill.training.networks import Network, check_network, read_facts

CODE = """
from torch import nn

def build(input_shape, num_classes):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(),
        nn.Linear(36, num_classes),
    )
"""
EXECUTION = {"device": "cpu", "stacking": "auto", "compile": "none", "checkpoint_minutes": 5}
NAMES = ("shadow-00-0", "shadow-00-1")


@pytest.fixture
def made(tmp_path, digits_path):
    """Check a network with this code, for some variants."""

    def make(code=CODE, pruning=PRUNING["dense"]):
        path = tmp_path / "mine.py"
        path.write_text(code)
        own._module.cache_clear()
        given = {"mine": {"file": str(path), "function": "build", "arguments": {}}}
        row = own.rows(given)["mine"]
        facts = str(tmp_path / "network.json")
        network = Network.of(given, "mine", code_of("mine", row), [facts])
        training = settings_of(pruning, "mine") | {"network": row.given}
        notes = check_network(
            data_path=str(digits_path),
            variant="some",
            training=training,
            network=network,
            output=facts,
        )
        return network, training, notes

    return make


def test_what_is_found_is_written_down(made):
    network, _, notes = made()
    assert notes == []
    assert read_facts(network.facts).num_parameters == 4 * 9 + 4 + 36 * 10 + 10
    assert network.is_stacked("auto", "cpu")
    assert not network.is_stacked("sequential", "cpu")


def test_what_cannot_be_stacked_is_not_whatever_is_asked_for(made):
    branching = (
        CODE.replace("nn.ReLU()", "Odd()")
        + """
class Odd(nn.Module):
    def forward(self, x):
        return x.relu() if float(x.detach().sum()) > -1e9 else x
"""
    )
    network, _, (note,) = made(branching)
    assert "trained one after the other" in note
    assert not network.is_stacked("stacked", "cpu")


def test_batch_norm_is_known_on_a_gpu(made):
    network, *_ = made(CODE.replace("nn.ReLU()", "nn.BatchNorm2d(4)"))
    assert network.is_stacked("auto", "cpu")
    assert not network.is_stacked("stacked", "cuda")


def test_faults_name_the_network_and_the_variant(made):
    slim = PRUNING["static"] | {"criterion": "batch_norm_scale"}
    with pytest.raises(ConfigError) as error:
        made(pruning=slim)
    assert str(error.value).startswith("architectures.mine, for digits, some: the pruning")


def test_layers_that_tensors_do_not_tell_apart_are_refused(made):
    code = (
        CODE.replace("nn.Flatten(),", "nn.Flatten(), Words(),")
        + """
class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 36)

    def forward(self, x):
        return x + self.table.weight.mean()
"""
    )
    linear = PRUNING["static"] | {"layers": ["linear"]}
    with pytest.raises(ConfigError, match=r"4\.table\.weight: of layers like these"):
        made(code, linear)
    made(code, PRUNING["static"])  # convolutions are clear


def test_a_damaged_record_is_named(made):
    network, *_ = made()
    with open(network.facts, "w") as file:  # noqa: PTH123
        json.dump({"num_parameters": 3}, file)
    with pytest.raises(ArtefactError, match=r"network\.json: cannot be read"):
        network.is_stacked("auto", "cpu")


@pytest.fixture
def job(made, tmp_path, digits_path):
    network, training, _ = made()
    training["recipe"]["epochs"] *= 2
    keys = {name: ["shadow", slot] for slot, name in enumerate(NAMES)}
    roles.draw(tmp_path / "roles.h5", keys, 1797, 0)
    (tmp_path / "models").mkdir()
    return {
        "data_path": str(digits_path),
        "roles_path": str(tmp_path / "roles.h5"),
        "initial": {},
        "outputs": {name: str(tmp_path / "models" / f"{name}.safetensors") for name in NAMES},
        "keys": keys,
        "settings": training,
        "state_folder": str(tmp_path / "state"),
        "title": "a test",
        "network": network,
        "execution": EXECUTION,
        "threads": 1,
    }


@pytest.mark.long
def test_models_are_trained_and_scored_and_hang_on_the_code_not_on_its_place(job, tmp_path):
    train_block(**job)
    first = {name: read_model(path) for name, path in job["outputs"].items()}
    assert "mine.py" not in str(first[NAMES[0]].provenance["settings"])
    score_block(
        data_path=job["data_path"],
        roles_path=job["roles_path"],
        models=job["outputs"],
        output=str(tmp_path / "scores.h5"),
        settings={"queries": {"mirror": False, "shift": 0}, "arrays": []},
        training=job["settings"],
        network=job["network"],
        execution=EXECUTION,
        threads=1,
    )
    with storage.open_hdf5(tmp_path / "scores.h5") as file:
        assert file["correct"].mean() > 0.5
    # Alone, a model is what it was in the stack, its keyed dropout too.
    alone = job | {"execution": EXECUTION | {"stacking": "sequential"}}
    train_block(**alone)
    for name, path in job["outputs"].items():
        for key, tensor in read_model(path).state.items():
            torch.testing.assert_close(tensor, first[name].state[key], rtol=1e-4, atol=1e-4)


@pytest.mark.long
def test_bfloat16_is_recorded_and_another_number_format(job):
    train_block(**job)
    plain = read_model(job["outputs"][NAMES[0]])
    short = job["settings"] | {"recipe": job["settings"]["recipe"] | {"precision": "bfloat16"}}
    train_block(**job | {"settings": short})
    found = read_model(job["outputs"][NAMES[0]])
    assert (plain.provenance["precision"], found.provenance["precision"]) == (
        "float32",
        "bfloat16",
    )
    assert found.state["0.weight"].dtype == torch.float32
    gap = (found.state["4.weight"] - plain.state["4.weight"]).abs().max()
    assert 0 < gap < 0.2
