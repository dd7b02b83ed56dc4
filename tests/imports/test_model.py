"""Finished models become models of the workflow, or are refused."""

import re

import numpy as np
import pytest
import torch
from jobs_for_tests import PRUNING, network_of, settings_of

from shadowmill import roles, storage
from shadowmill.architectures import build
from shadowmill.data.store import Data
from shadowmill.errors import DataError, ShadowmillError
from shadowmill.imports.model import check_accuracy, import_model
from shadowmill.provenance import file_digest
from shadowmill.roles import Given
from shadowmill.scores.score import score_block
from shadowmill.training.modelfile import read_model

EXECUTION = {"device": "cpu", "stacking": "auto", "compile": "none", "checkpoint_minutes": 5}
MEMBERS, HELD_OUT = np.arange(0, 1400), np.arange(1400, 1797)


@pytest.fixture(scope="session")
def trained(digits, tmp_path_factory):
    """A network that a user trained with torch alone, on inputs normalised their way."""
    torch.manual_seed(1)
    network = build("small_convnet", (1, 8, 8), 10, 1)
    inputs = (torch.from_numpy(digits.inputs).float() / 255 - 0.5) / 0.25
    inputs, labels = inputs.movedim(-1, 1)[MEMBERS], torch.from_numpy(digits.labels)[MEMBERS]
    optimizer = torch.optim.Adam(network.parameters(), 0.003)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
    return network


@pytest.fixture
def brought(tmp_path, digits_path, trained):
    """Import a state, by these lists."""

    def bring(state=None, members=MEMBERS, held_out=HELD_OUT, pruning=PRUNING["dense"], **given):
        path, roles_path = tmp_path / "release.pth", tmp_path / "roles.h5"
        output = tmp_path / "target-release.safetensors"
        torch.save(trained.state_dict() if state is None else state, path)
        lists = {"release": Given(members, held_out)}
        roles.draw(roles_path, {"target-release": ("given", "release")}, 1797, 0, given=lists)
        arguments = {"trust": False, "moments": {"mean": [0.5], "std": [0.25]}} | given
        import_model(
            data_path=str(digits_path),
            roles_path=str(roles_path),
            file=str(path),
            output=str(output),
            settings=settings_of(pruning),
            network=network_of(),
            execution=EXECUTION,
            threads=1,
            **arguments,
        )
        return output, roles_path, path

    return bring


def test_a_finished_model_keeps_its_weights_and_says_where_it_is_from(brought, trained):
    output, _, path = brought()
    found = read_model(output)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(found.state[name], tensor)
    assert found.masks == {}
    assert found.provenance["imported"] == {
        "file": "release.pth",
        "digest": file_digest(path),
        "trusted": False,
        "moments": {"mean": [0.5], "std": [0.25]},
    }
    assert str(path.parent) not in str(found.provenance)


def test_it_is_scored_with_the_inputs_it_knows(brought, trained, digits, digits_path, tmp_path):
    output, roles_path, _ = brought()
    score_block(
        data_path=str(digits_path),
        roles_path=str(roles_path),
        models={"target-release": str(output)},
        output=str(tmp_path / "target-release.h5"),
        settings={"queries": {"mirror": False, "shift": 0}, "arrays": ["logits"]},
        training=settings_of(PRUNING["dense"]),
        network=network_of(),
        execution=EXECUTION,
        threads=1,
    )
    inputs = (torch.from_numpy(digits.inputs).float() / 255 - 0.5) / 0.25
    with torch.no_grad():
        expected = trained(inputs.movedim(-1, 1)).numpy()
    with storage.open_hdf5(tmp_path / "target-release.h5") as file:
        np.testing.assert_allclose(file["logits"][0], expected, rtol=1e-4, atol=1e-4)


def test_zeros_of_a_pruned_model_are_its_masks(brought, trained):
    state = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    convolutions = [name for name, tensor in state.items() if tensor.dim() == 4]
    everything = torch.cat([state[name].abs().flatten() for name in convolutions])
    half = PRUNING["static"] | {"sparsity": 0.3}
    limit = everything.quantile(0.3)
    for name in convolutions:
        state[name] *= state[name].abs() > limit
    output, *_ = brought(state, pruning=half)
    found = read_model(output)
    assert sorted(found.masks) == sorted(convolutions)
    zeros = sum(int((~mask).sum()) for mask in found.masks.values())
    assert zeros == pytest.approx(0.3 * len(everything), abs=2)
    assert found.history["sparsity"] == [pytest.approx(0.3, abs=0.002)]
    with pytest.raises(
        DataError, match=r"30\.\d% of the weights .* are zero, 90\.0% were expected"
    ):
        brought(state, pruning=PRUNING["static"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"moments": {"mean": [40.0], "std": [0.01]}}, "members, which is no more than chance (10"),
        (
            {"moments": {"mean": [0.5, 0.5], "std": [1, 1]}},
            "digits: 2 numbers for mean, expected 1",
        ),
        ({"state": {"weight": torch.zeros(3)}}, "its tensors are not those of the network"),
        ({"state": {}}, "not a state dict"),
    ],
)
def test_what_cannot_be_right_is_refused(brought, tmp_path, change, message):
    with pytest.raises(ShadowmillError, match=re.escape(message)):
        brought(**change)
    assert not (tmp_path / "target-release.safetensors").exists()


def test_exchanged_members_are_noticed(brought, trained, digits, tmp_path):
    """Of a model that remembers what it saw, right on all of it and often wrong on the rest."""
    labels = digits.labels
    data = Data(
        "d", "image", digits.inputs, labels, 1797, digits.class_names, *[np.ones(1)] * 2, ""
    )
    seen, unseen = [True] * 500, [True] * 400 + [False] * 100
    check_accuracy("a.pth", seen, unseen, data)
    check_accuracy("a.pth", [True] * 96 + [False] * 4, [True] * 98 + [False] * 2, data)
    with pytest.raises(
        DataError, match=r"right on 80.0% of its members and on 100.0% of what it ne"
    ):
        check_accuracy("a.pth", unseen, seen, data)


def test_a_model_of_noise_is_refused_once_in_a_thousand(digits):
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        hits = random.random(400) < 0.6
        try:
            check_accuracy("a.pth", hits[:200], hits[200:], digits)
        except DataError:
            refused += 1
    assert refused <= 3
