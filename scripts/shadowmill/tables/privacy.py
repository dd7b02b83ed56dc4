"""privacy: published privacy budgets of heads, and what their noise really gives."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from shadowmill import progress
from shadowmill.defenses.private import epsilon
from shadowmill.errors import ArtefactError
from shadowmill.tables import write_csv

# The published setting `Auto`.
_DELTA_EXPONENT = -1.1


def tabulate(published_path: str, output: str) -> None:
    """Compute ε of published noise multipliers under two ways of sampling; write and print it.

    The published code gives opacus a loader of batches of N − 1 of the N examples. These are two
    batches, and opacus samples at one over their number: as the code runs, an example is in each
    step with probability q = ½, and an epoch has two steps. As it is documented, q = 1 − 1/N and
    an epoch has one. δ = N^−1.1 in both.

    Args:
        published_path: rules/published_epsilon.yaml.
        output: CSV file to write, a row for each noise multiplier: `data`, `num_examples` (N of a
            set), `noise_multiplier`, `epochs`, `delta`, `published_epsilon`, `epsilon_as_run`,
            `epsilon_as_documented`.

    Raises:
        ArtefactError: the published table is missing or no YAML.
    """
    entries = [
        (block, noise_multiplier, published)
        for block in _read(published_path)
        for noise_multiplier, published in block["epsilon"].items()
    ]
    bar = progress.bar(entries, desc="privacy budgets", unit="entry")
    table = pd.DataFrame([_row(*entry) for entry in bar])
    write_csv(output, table)
    shown = table.to_string(index=False, float_format="{:.4g}".format)
    apart = (table["epsilon_as_run"] / table["published_epsilon"] - 1).abs().max()
    print(f"\n{shown}\n\nas run within {apart:.1%} of the published; in {output}\n")


def _read(path: str) -> list[dict[str, Any]]:
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ArtefactError(
            f"{path}: the published privacy budgets cannot be read from it "
            f"({' '.join(str(error).split())}). It comes with the code: restore it."
        ) from error


def _row(block: dict[str, Any], noise_multiplier: float, published: float) -> dict[str, Any]:
    num_examples, epochs = block["num_examples"], block["epochs"]
    delta = num_examples**_DELTA_EXPONENT
    return {
        "data": block["data"],
        "num_examples": num_examples,
        "noise_multiplier": noise_multiplier,
        "epochs": epochs,
        "delta": delta,
        "published_epsilon": published,
        "epsilon_as_run": epsilon(noise_multiplier, 1 / 2, 2 * epochs, delta),
        "epsilon_as_documented": epsilon(noise_multiplier, 1 - 1 / num_examples, epochs, delta),
    }
