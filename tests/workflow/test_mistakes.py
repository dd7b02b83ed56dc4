"""A user's mistakes over whole runs: one clear message, a non-zero status, nothing lost."""

import copy
import re

import pytest
import yaml
from checkouts import SMALL


def assert_clear(output, *parts):
    for part in parts:
        assert part in output
    assert "Traceback" not in output


def log_of(model):
    return (
        model.replace("results", "results/logs", 1)
        .replace("models/", "train-")
        .replace("safetensors", "log")
    )


def test_wrong_configuration_lists_every_fault_before_anything_runs(fresh):
    config = copy.deepcopy(SMALL)
    config["studies"]["small"]["num_shadows"] = 7
    config["studies"]["small"]["variants"] = ["static-1.5", "dfp-0.9"]
    fresh.configure(config)
    output = fresh.run(expect=1)
    assert_clear(output, "studies.small.num_shadows", "variants[0]", "variants[1]", "3 faults")
    assert not fresh.results.exists()


def test_a_study_that_was_copied_and_not_renamed(fresh):
    path = fresh.folder / "workflow_config.yaml"
    block = yaml.safe_dump(SMALL["studies"], indent=2).replace("\n", "\n  ").rstrip()
    path.write_text(path.read_text().replace("studies:\n", f"studies:\n  {block}\n"))
    (fresh.folder / "other.yaml").write_text("build: [small]\n\nbuild: []\n")
    output = fresh.snakemake("-n", "--configfile", "other.yaml", expect=1)
    twice = r"studies\.small: written more than once, in lines \d+ and \d+ of workflow_config\.yaml"
    assert re.search(twice, output)
    assert_clear(output, "build: written more than once, in lines 1 and 3 of other.yaml")


def test_files_that_a_study_does_not_have_are_refused_while_planning(fresh):
    cell = "results/small/digits/small_convnet/dpf-0.9"
    wrong = [
        f"{cell}/attacks/adaptive/nn.h5",
        f"{cell}/attacks/original/lira_online.csv",
        f"{cell}/models/target-8.safetensors",
        f"{cell}/scores/shadow-77.h5",
        "results/small/fashion_mnist/roles/target-7.h5",
        "results/small/figures/epsilon.png",
    ]
    right = f"{cell}/attacks/adaptive/lira_online.h5"
    output = fresh.snakemake("-n", "--profile", "profiles/local", "--", right, *wrong, expect=1)
    assert_clear(output, *(f"{path}: small has no " for path in wrong))
    assert_clear(output, "Add nn to studies.small.attacks")
    assert_clear(output, "it would need a variant with dp_sgd whose strength is epsilon")
    assert f"{right}:" not in output
    assert not fresh.results.exists()


def test_results_that_cannot_be_written(fresh):
    fresh.results.symlink_to("/proc/nowhere")
    assert_clear(fresh.run(expect=1), "results: cannot write there", "Make it a folder")


def test_missing_data_names_folder_and_command(fresh):
    config = copy.deepcopy(SMALL)
    config["studies"]["small"]["datasets"] = ["cifar10"]
    config["data"] = {"root": "nowhere"}
    fresh.configure(config)
    # A proxy that refuses connections stands for a machine without network.
    refused = "http://127.0.0.1:9"
    environment = {"https_proxy": refused, "http_proxy": refused}
    output = fresh.snakemake(
        "--cores", "1", "results/data/cifar10.h5", environment=environment, expect=1
    )
    assert_clear(output, "cifar10: not found in nowhere", "snakemake --cores 1", "data.root")


@pytest.mark.parametrize(
    ("file", "target"),
    [
        ("models/shadow-00-1.safetensors", "scores/shadow-00.h5"),
        ("scores/shadow-00.h5", "attacks/adaptive/lira_online.h5"),
    ],
)
def test_truncated_file_is_named_and_costs_nothing_else(finished, file, target):
    cell = "results/small/digits/small_convnet/dpf-0.9"
    damaged, wanted = finished.folder / cell / file, finished.folder / cell / target
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    wanted.unlink()
    kept = sorted(path for path in finished.results.rglob("*.safetensors"))
    output = finished.run(f"{cell}/{target}", expect=1)
    assert_clear(output, f"{cell}/{file}: cannot be read", "Move it elsewhere and rerun")
    assert sorted(path for path in finished.results.rglob("*.safetensors")) == kept
    damaged.unlink()
    finished.run(f"{cell}/{target}")
    assert wanted.exists()


def test_diverging_models_are_named_and_the_others_go_on(fresh):
    config = copy.deepcopy(SMALL)
    config["recipes"]["wild"] = config["recipes"]["short"] | {"learning_rate": 1e20}
    config["studies"]["wild"] = config["studies"]["small"] | {"recipe": "wild"}
    fresh.configure(config)
    good = "results/small/digits/small_convnet/dpf-0.9/models/target-7.safetensors"
    bad = good.replace("small/", "wild/", 1)
    output = fresh.run(good, bad, expect=1, options=("--retries", "2"))
    assert_clear(output, "no longer a finite number: target-7 at step", "learning rate")
    # Which job, and where its log is; once, and without the files of each job.
    job = "study=wild, dataset=digits, architecture=small_convnet, variant=dpf-0.9, target=target-7"
    error = f"Error in rule train_target ({job}):\n    log: {log_of(bad)}\n"
    for text in (output, *(path.read_text() for path in fresh.folder.glob(".snakemake/log/*"))):
        assert text.count(error) == 1
        assert "Trying to restart" not in text
        assert "input:" not in text
    assert (fresh.folder / good).exists()
    assert not (fresh.folder / bad).exists()


def test_too_few_shadows_are_said_before_anything_runs(fresh):
    config = copy.deepcopy(SMALL)
    config["studies"]["small"] |= {"num_shadows": 4, "models_per_job": 2}
    config["studies"]["other"] = copy.deepcopy(config["studies"]["small"])
    fresh.configure(config)
    for target in ((), ("small",), ("results/small/tables/summary.tex",)):
        output = fresh.snakemake("--cores", "1", "--dry-run", "--quiet", "rules", "--", *target)
        said = "studies.small.num_shadows: 4 are too few to be attacked with each other by "
        assert output.count(said) == len(SMALL["studies"]["small"]["attacks"])
        assert "studies.other" not in output
    # Who asks for nothing of a study is not told of one.
    output = fresh.snakemake("--cores", "1", "--dry-run", "--", "results/data/digits.h5")
    assert "too few" not in output
