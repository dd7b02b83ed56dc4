"""Networks of the user's own: tried out before anything is trained, and what was found of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from shadowmill import storage
from shadowmill.architectures import Architecture, is_stacked
from shadowmill.architectures.check import Facts, check
from shadowmill.architectures.own import file_of, rows
from shadowmill.data.store import load as load_data
from shadowmill.defenses import is_per_example
from shadowmill.errors import ArtefactError, ConfigError
from shadowmill.pruning.masks import require_prunable
from shadowmill.training.spec import build_network


def check_network(
    *, data_path: str, variant: str, training: Mapping[str, Any], network: "Network", output: str
) -> list[str]:
    """Try out a network on one batch, on the CPU, and write what was found.

    Args:
        data_path: the prepared data set, for sizes.
        variant: that is trained.
        training: settings with which the configuration has its models trained.
        network: the network.
        output: JSON file to write.

    Returns:
        What the user should know, in words.

    Raises:
        ConfigError: all that is wrong with the network, in one message.
    """
    data, pruning = load_data(data_path), training["pruning"]

    def build(seed: int, *, group_norm: bool = False) -> Any:
        defense = {"name": "dp_sgd" if group_norm else "none"}
        return build_network(network.building(training) | {"defense": defense}, data, seed)

    try:
        facts = check(
            build,
            data.input_shape,
            data.num_classes,
            partial(require_prunable, pruning=pruning) if pruning["sparsity"] else None,
            is_per_example(training["defense"]["name"]),
            file_of(network.row),
        )
    except ConfigError as error:
        name = training["architecture"]
        raise ConfigError(f"architectures.{name}, for {data.name}, {variant}: {error}") from error
    storage.write_text(output, json.dumps(asdict(facts), indent=1) + "\n")
    return list(facts.notes())


def read_facts(path: str) -> Facts:
    """Read what `check_network` found.

    Raises:
        ArtefactError: the file is missing or damaged.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return Facts(**found | {"unused": tuple(found["unused"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtefactError(
            f"{path}: cannot be read ({error}). Delete it and rerun the workflow."
        ) from error


@dataclass(frozen=True)
class Network:
    """The network of a configuration, as jobs need it.

    Attributes:
        row: of the table, or of the user's own.
        code: digest of the code that builds it.
        facts: of one of the user's own: the file of `check_network`.
    """

    row: Architecture
    code: str
    facts: str | None = None

    @classmethod
    def of(
        cls, given: Mapping[str, Any], name: str, code: str, facts: Sequence[str] = ()
    ) -> "Network":
        """Look a network up.

        Args:
            given: the configuration's `architectures`.
            name: of the network.
            code: digest of the code that builds it.
            facts: the file of `check_network`, if it is the user's own.
        """
        return cls(rows(given)[name], code, next(iter(facts), None))

    def is_stacked(self, stacking: str, device_type: str) -> bool:
        """Whether models are run in lock-step.

        Args:
            stacking: `stacked`, `sequential`, or `auto`.
            device_type: `cpu` or `cuda`.

        Raises:
            ArtefactError: the file of facts is missing or damaged.
        """
        row = self.row
        if self.facts is not None:
            found = read_facts(self.facts)
            if found.not_stacked:
                return False
            row = replace(row, stacked=found.stacked, batch_norm=found.batch_norm)
        return is_stacked(row, stacking, device_type)

    def building(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings with the user's file, which is no part of what a model is: its code is."""
        file = file_of(self.row)
        return dict(settings) | ({} if file is None else {"file": file})
