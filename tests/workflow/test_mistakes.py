"""A user's mistakes over whole runs: one clear message, a non-zero status, nothing lost."""

import copy

import pytest
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
        ("scores/shadow-00.h5", "attacks/lira_online.h5"),
    ],
)
def test_truncated_file_is_named_and_costs_nothing_else(finished, file, target):
    cell = "results/small/digits/small_convnet/dpf-0.9"
    damaged, wanted = finished.folder / cell / file, finished.folder / cell / target
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    wanted.unlink()
    kept = sorted(path for path in finished.results.rglob("*.safetensors"))
    output = finished.run(f"{cell}/{target}", expect=1)
    assert_clear(output, f"{cell}/{file}: cannot be read", "Delete it and rerun")
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
