"""The tutorial: its commands run as they stand, and say what the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from checkouts import ROOT, Checkout
from PIL import Image

PAGE = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if not line.startswith("export")
]


AUC = re.compile(r"(0\.\d+) \[")  # and its interval


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout with the data of the tutorial."""
    made = Checkout.create(tmp_path_factory.mktemp("tutorial") / "checkout", {})
    shutil.copy(ROOT / "workflow_config.yaml", made.folder)
    shutil.copytree(ROOT / "docs/tutorial", made.folder / "docs/tutorial")
    shell(made, COMMANDS[0])
    return made


def shell(made, command, expect=0):
    """Run a line of the page as a user does; what it prints."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": programs, "PYTHONPATH": str(made.folder / "scripts")}
    done = subprocess.run(
        command,
        shell=True,
        cwd=made.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


@pytest.mark.parametrize("name", ["photographs", "patients", "finished"])
def test_the_page_shows_the_configuration_that_is_there(name):
    path = ROOT / f"docs/tutorial/{name}.yaml"
    shown = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    assert yaml.safe_load(path.read_text(encoding="utf-8")) in shown


@pytest.mark.slow
def test_the_data_are_what_the_page_says(checkout):
    images = sorted((checkout.folder / "tutorial/photographs").rglob("*.png"))
    assert len(images) == 1_008
    names = {re.match(r"[a-z]+[0-9]+", path.name)[0] for path in images if "train" in path.parts}
    assert len(names) == 202
    with Image.open(images[0]) as image:
        assert (image.size, image.mode) == ((40, 40), "RGB")
    patients = pd.read_csv(checkout.folder / "tutorial/patients.csv")
    assert len(patients) == 569
    assert patients["outcome"].value_counts().to_dict() == {"benign": 357, "malignant": 212}


@pytest.mark.slow
def test_the_dry_run_of_the_page_has_the_check_of_the_network(checkout):
    (dry,) = [command for command in COMMANDS if command.endswith(" -n")]
    output = shell(checkout, dry)
    assert re.search(r"check_network +1\n", output)
    assert re.search(r"tabulate_groups +1\n", output)


@pytest.mark.slow
def test_a_softmax_ends_the_run_before_any_training(checkout, tmp_path):
    copy = checkout.copy(tmp_path / "copy")
    path = copy.folder / "docs/tutorial/network.py"
    text = path.read_text(encoding="utf-8")
    assert text.rstrip().endswith("num_classes),\n    )")
    path.write_text(text.rstrip()[:-1] + "    nn.Softmax(dim=1),\n    )\n", encoding="utf-8")
    command = next(line for line in COMMANDS if line.startswith("snakemake photographs"))
    output = shell(copy, command.removesuffix(" -n"), expect=1)
    (expected,) = re.findall(r"```\n(architectures\.mine.*?)\n```", PAGE)
    assert expected in " ".join(output.split())
    assert "Traceback" not in output
    assert not list(copy.results.rglob("*.safetensors"))


@pytest.mark.slow
def test_the_answers_are_those_of_the_page(checkout):
    shown = "".join(shell(checkout, command) for command in COMMANDS[2:])
    for said in re.findall(r"```\n(\w+: attack: .*?)```", PAGE, re.DOTALL):
        head, *rows = said.splitlines()
        assert head in shown
        for row in (row for row in rows if row.lstrip().startswith("dense")):
            variant, auc = row.split()[0], AUC.search(row)[1]
            (found,) = [
                AUC.search(line)[1]
                for line in shown[shown.index(head) :].splitlines()[:4]
                if line.split()[:1] == [variant]
            ]
            # Numbers differ in the last digits from one processor to another.
            assert float(found) == pytest.approx(float(auc), abs=0.02)
    groups = pd.read_csv(checkout.results / "photographs/tables/groups.csv")
    assert set(groups.nsmallest(20, "rank")["group"]) & {"flower062", "flower121", "flower120"}
    examples = pd.read_csv(checkout.results / "patients/tables/examples.csv")
    exposed = examples[examples["variant"] == "dense"].nsmallest(3, "rank")
    assert "P298" in set(exposed["id"])
    imported = pd.read_csv(checkout.results / "finished/tables/imported.csv")
    assert set(imported["num_members"]) == {644}
    assert not imported["unlike"].any()
    assert (checkout.results / "photographs/figures/examples-photographs-mine-dense.png").exists()
