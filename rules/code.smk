# Digests of code: parameters of the rules whose results are cheap, so that an edit of what they are
# computed with redoes them.

from functools import cache
from pathlib import Path

import yaml

from shadowmill.architectures.code import code_of as code_of_row
from shadowmill.config.tables import tables_of_datasets, tables_of_study
from shadowmill.provenance import digest
from shadowmill.reconstruction.code import backbone_code, generator_code
from shadowmill.sources import source_digest


@cache
def code_of_own(architecture):
    """Digest of the code that builds a network."""
    with mistakes_while_planning():
        return code_of_row(architecture, CONFIG.architectures[architecture])


def code_of_network(wildcards):
    """The same of that of a job: a model is what it made of its weights."""
    return code_of_own(wildcards.architecture)


def content_of(path):
    """Digest of what a YAML file of the workflow says."""
    return digest(yaml.safe_load(Path(path).read_text(encoding="utf-8")))


def attacks_of(wildcards):
    """The attacks that a job is about: its own, or else all of its study."""
    return (
        [wildcards.attack]
        if "attack" in wildcards.keys()
        else study_of(wildcards).attacks
    )


def fast_attacks(wildcards):
    """The attacks of a study that are run again with fewer shadows."""
    return study_of(wildcards).fast_attacks


@cache
def code_in_study(script, study, attacks):
    """Digest of a script and of all that it uses for some attacks of a study."""
    return source_digest(
        f"{SCRIPTS}/{script}", tables_of_study(STUDIES[study], attacks)
    )


def code_of(script, attacks=attacks_of):
    """A parameter of cheap rules: the digest of their script and of all that it uses."""
    return lambda wildcards: code_in_study(
        script, wildcards.study, tuple(attacks(wildcards))
    )


@cache
def code_with_datasets(script, datasets):
    """Digest of a script and of all that it uses for some data sets."""
    return source_digest(f"{SCRIPTS}/{script}", tables_of_datasets(datasets))


def reconstruction_code(script):
    """A parameter of cheap rules: the digest of their script and of all that it uses."""

    def code(wildcards):
        study = reconstruction_of(wildcards)
        return code_with_datasets(script, (study.dataset, tested(study).dataset))

    return code
