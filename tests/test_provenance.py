"""Digests, and the facts that every artefact carries."""

import json

import numpy as np
import pytest

import shadowmill
from shadowmill import provenance
from shadowmill.provenance import array_digest, digest

SETTINGS = {"recipe": {"epochs": 3, "rate": 0.1}, "seed": 0, "variants": ["dense", "static-0.9"]}


# Digests of values.


def test_the_order_of_keys_does_not_matter():
    other = {
        "variants": ["dense", "static-0.9"],
        "seed": 0,
        "recipe": {"rate": 0.1, "epochs": 3},
    }
    assert digest(other) == digest(SETTINGS)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"seed": "0"},
        {"seed": None},
        {"recipe": {"epochs": 3, "rate": 0.10000001}},
        {"variants": ["static-0.9", "dense"]},
        {"extra": None},
    ],
)
def test_any_change_of_content_changes_the_digest(change):
    assert digest(SETTINGS | change) != digest(SETTINGS)


def test_digests_never_change():
    # They are stored in artefacts: models of an older version must still be recognised. The value
    # is `printf '{"a":1,"b":[2,3]}' | sha256sum | cut -c 1-16`.
    assert digest({"b": [2, 3], "a": 1}) == "efbd0040190fb087"


def test_arrays_differ_by_content_shape_and_type():
    array = np.arange(6, dtype=np.int8)
    changed = array.copy()
    changed[5] = 0
    others = [changed, array.reshape(2, 3), array.astype(np.uint8), array.astype(np.int16)]
    digests = {array_digest(other) for other in (array, *others)}
    assert len(digests) == 5


def test_the_memory_layout_of_an_array_does_not_matter():
    array = np.arange(12).reshape(3, 4)
    assert array_digest(np.asfortranarray(array)) == array_digest(array)
    assert array_digest(np.repeat(array, 2, axis=1)[:, ::2]) == array_digest(array)


# Provenance.


def test_provenance_says_who_what_and_how(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    facts = provenance.provenance(SETTINGS, 1.23456, device="cpu", seed=9)
    assert facts["shadowmill"] == shadowmill.__version__
    assert facts["settings"] == SETTINGS
    assert facts["settings_digest"] == digest(SETTINGS)
    assert facts["seconds"] == 1.235
    assert (facts["device"], facts["seed"]) == ("cpu", 9)
    assert (facts["slurm_job"], facts["visible_devices"]) == ("4711", "3")
    assert facts["libraries"]["numpy"] == np.__version__
    assert {"python", "torch", "h5py", "safetensors"} <= facts["libraries"].keys()
    assert {"commit", "host"} <= facts.keys()
    assert json.loads(json.dumps(facts)) == facts


def test_provenance_outside_slurm_and_without_a_gpu(monkeypatch):
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    facts = provenance.provenance({}, 0.0)
    assert facts["slurm_job"] is None
    assert facts["visible_devices"] is None


def test_the_commit_is_unknown_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_PACKAGE_FOLDER", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance._commit.__wrapped__() == "unknown"
