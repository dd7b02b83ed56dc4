"""Checks of the configuration: all faults at once, each with its key and its cure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shadowmill.architectures import Architecture
from shadowmill.architectures.own import rows as network_rows
from shadowmill.config.checks import name_faults, sense_faults
from shadowmill.config.form import form_faults
from shadowmill.config.reconstruction import Reconstruction
from shadowmill.config.sections.workflow import Workflow
from shadowmill.config.study import Config, Study
from shadowmill.config.written import misreadings
from shadowmill.data import Dataset
from shadowmill.data.own import rows as data_rows
from shadowmill.errors import ConfigError
from shadowmill.names import Variant


def load(raw: dict[str, Any], files: Iterable[str | Path] = ()) -> Config:
    """Validate the configuration, fill in defaults (in `raw` too) and return a typed view.

    Args:
        raw: the parsed YAML; defaults are added in place.
        files: those that the configuration was read from.

    Raises:
        ConfigError: one message that lists every fault with its key.
    """
    faults = [fault for path in files for fault in misreadings(path)]
    try:
        whole = Workflow.model_validate(raw)
    except ValidationError as error:
        faults += form_faults(error)
    else:
        raw.update(whole.model_dump(exclude_none=True))
        faults += sense_faults(raw)
    _refuse(faults)
    datasets, networks = data_rows(raw), network_rows(raw["architectures"])
    return Config(
        build=tuple(raw["build"]),
        keep_models=raw["keep_models"],
        studies={name: _study(name, raw, datasets, networks) for name in raw["studies"]},
        datasets=datasets,
        architectures=networks,
        backbones={name: backbone.model_dump() for name, backbone in whole.backbones.items()},
        reconstructions={
            name: Reconstruction.of(name, given) for name, given in raw["reconstructions"].items()
        },
    )


def require_free_names(config: Config, rules: Collection[str]) -> None:
    """Refuse studies and reconstructions that are named like something of the workflow.

    Args:
        config: the configuration.
        rules: names of the rules of the workflow.

    Raises:
        ConfigError: one message that lists them.
    """
    targets = {"studies": config.studies, "reconstructions": config.reconstructions}
    _refuse(list(name_faults(targets, rules)))


def _refuse(faults: Sequence[str]) -> None:
    if not faults:
        return
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    listing = "\n".join(f"  {fault}" for fault in faults)
    raise ConfigError(
        f"the configuration (workflow_config.yaml, --configfile, --config) has {count}:\n{listing}"
    )


def _study(
    study: str,
    raw: Mapping[str, Any],
    datasets: Mapping[str, Dataset],
    networks: Mapping[str, Architecture],
) -> Study:
    settings = dict(raw["studies"][study])
    del settings["description"]
    for key in ("recipe", "fine_tune"):
        if key in settings:
            settings[key] = raw["recipes"][settings[key]]
    settings["variants"] = tuple(Variant.parse(variant) for variant in settings["variants"])
    for key, table in (("datasets", datasets), ("architectures", networks)):
        settings[key] = {name: table[name] for name in settings[key]}
    for key in ("target_seeds", "adversaries", "attacks"):
        settings[key] = tuple(settings.get(key, ()))
    return Study(name=study, **settings)
