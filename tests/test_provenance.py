"""Digests, and the facts that every artefact carries."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import shadowmill
from shadowmill import provenance
from shadowmill.provenance import array_digest, digest, source_digest

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


# Digests of code.

CODE = {
    "__init__.py": "",
    "direct.py": "from shadowmill.deep import below\n",
    "lazy.py": "LAZY = 1\n",
    "whole/__init__.py": "import shadowmill.beside\n",
    "whole/inner.py": "INNER = 1\n",
    "deep/__init__.py": "",
    "deep/below.py": "import numpy\n",
    "beside.py": "from shadowmill import direct  # a circle\n",
    "unrelated.py": "UNRELATED = 1\n",
}
SCRIPT = """
from shadowmill import direct
import shadowmill.whole

def later():
    from shadowmill.lazy import LAZY
"""
USED = ["direct.py", "lazy.py", "whole/__init__.py", "deep/below.py", "beside.py"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `shadowmill` of a few lines in the place of the real one."""
    folder = tmp_path / "shadowmill"
    for name, text in CODE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setattr(provenance, "_PACKAGE_FOLDER", folder)
    provenance._read_source.cache_clear()
    yield folder
    provenance._read_source.cache_clear()


def digest_now(package):
    provenance._read_source.cache_clear()
    return source_digest(package.parent / "script.py")


@pytest.mark.parametrize("name", USED)
def test_the_digest_changes_with_any_imported_module(package, name):
    before = digest_now(package)
    with (package / name).open("a") as file:
        file.write("# edited\n")
    assert digest_now(package) != before


def test_the_digest_changes_with_the_script(package):
    before = digest_now(package)
    script = package.parent / "script.py"
    script.write_text(script.read_text() + "# edited\n")
    assert digest_now(package) != before


@pytest.mark.parametrize("name", ["unrelated.py", "whole/inner.py"])
def test_the_digest_does_not_change_with_other_modules(package, name):
    before = digest_now(package)
    (package / name).write_text("# edited\n")
    assert digest_now(package) == before


def test_the_digest_does_not_depend_on_where_the_checkout_lies(package, tmp_path, monkeypatch):
    before = digest_now(package)
    moved = tmp_path / "another" / "folder"
    shutil.copytree(package, moved / "shadowmill")
    shutil.copy(package.parent / "script.py", moved)
    monkeypatch.setattr(provenance, "_PACKAGE_FOLDER", moved / "shadowmill")
    assert digest_now(moved / "shadowmill") == before


def modules_of(script):
    """Names of the package's modules that a rule script's digest covers."""
    scripts = Path(shadowmill.__file__).parents[1]
    found, pending = set(), [scripts / script]
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += provenance._read_source(path)[1]
    return {
        path.relative_to(scripts / "shadowmill").as_posix() for path in found - {scripts / script}
    }


def test_the_real_attack_rule_depends_on_its_mathematics_and_on_no_figure():
    covered = modules_of("run_attack.py")
    assert {"attacks/lira.py", "attacks/bank.py", "scores/files.py", "storage.py"} <= covered
    assert not {name for name in covered if name.startswith(("figures/", "training/", "tables/"))}


def test_the_real_table_rule_depends_on_its_metrics():
    covered = modules_of("tabulate_membership.py")
    assert {"metrics/ranking.py", "metrics/bootstrap.py", "metrics/intervals.py"} <= covered
