# Tables and figures. What one is called, what the report says of it, and which studies have it
# stands in the output of the rule that makes it. All lists of such files follow from that.

from collections.abc import Callable
from inspect import cleandoc
from pathlib import PurePosixPath
from typing import NamedTuple

# What the report says of files; report/caption.rst looks it up here.
CAPTIONS = config["captions"] = {}
OF_TABLES = "A table of this study; docs/results.md explains its columns."


class Product(NamedTuple):
    """Files of one kind.

    Attributes:
        of: from a study, or a reconstruction, to the wildcards of each file; none if it has none.
        needs: what it needs to have them.
    """

    of: Callable
    needs: str


# By the path, with wildcards.
PRODUCTS = {}
# By the name of a table, the path of the parts that make up that of a study.
JOINED = {}


def of_cells(cells):
    """The wildcards of some configurations."""
    names = ("dataset", "architecture", "variant")
    return [dict(zip(names, cell.path)) for cell in cells]


def each_cell(study):
    """All configurations of a study."""
    return of_cells(study.cells)


def each_setting(reconstruction):
    """All points of the sweep of a reconstruction."""
    return [{"setting": setting.name} for setting in reconstruction.settings]


def each_attack(study):
    """All attacks on all configurations of a study."""
    return [
        {**wildcards, "adversary": adversary, "attack": attack}
        for wildcards in each_cell(study)
        for adversary in study.adversaries_of(wildcards["variant"])
        for attack in study.attacks
    ]


def each_attack_on_groups(study):
    """All attacks on all configurations whose examples belong together."""
    return [
        wildcards
        for wildcards in each_attack(study)
        if study.datasets[wildcards["dataset"]].has_groups
    ]


ATTACK_FILES = f"{CELL}/attacks/{{adversary}}/{{attack}}.h5"

# Which studies have a file, where not all do.
OWN_SHADOWS = {
    "of": lambda study: of_cells(study.own_shadow_cells),
    "needs": "shadows of its own",
}
COMPARED = {
    "of": lambda study: of_cells(
        study.own_shadow_cells if study.compares_examples else ()
    ),
    "needs": "the protocol half, and shadows of its own",
}
GROUPS = "data whose examples belong to groups"
GROUPED = {
    "of": lambda study: [
        wildcards
        for wildcards in COMPARED["of"](study)
        if study.datasets[wildcards["dataset"]].has_groups
    ],
    "needs": f"{GROUPS}, and {COMPARED['needs']}",
}
PRIVATE = {
    "of": lambda study: of_cells(study.cells if study.audits_privacy else ()),
    "needs": "a variant with dp_sgd, the protocol half, four shadows, and no groups",
}
CURVATURE = {
    "of": lambda study: of_cells(
        study.cells if study.curvature_estimators and not study.subsets else ()
    ),
    "needs": "an attack on curvature, and no subsets",
}


def made(path, of=each_cell, needs=""):
    """The path of files that studies have."""
    PRODUCTS[path] = Product(of, needs)
    return path


def shown(path, caption, labels, **which):
    """The same of files of which the report tells."""
    _, owner, folder, name = path.split("/")
    CAPTIONS[f"{owner}/{folder}/{name.split('.')[0].split('-')[0]}"] = cleandoc(caption)
    return report(
        made(path, **which),
        caption="report/caption.rst",
        category=owner,
        subcategory=folder,
        labels=labels,
    )


def figure(name, title, caption, owner="{study}", **which):
    """PNG, which the report shows, and PDF of a figure."""
    path = f"results/{owner}/figures/{name}"
    setting = {"setting": "{setting}"} if "{setting}" in name else {}
    png = shown(f"{path}.png", caption, {"figure": title, **setting}, **which)
    return [png, made(f"{path}.pdf", **which)]


def table(name, caption=OF_TABLES, owner="{study}", **which):
    """A table of a whole study."""
    path = f"results/{owner}/tables/{name}.csv"
    return shown(path, caption, {"table": name}, **which)


def part_of_table(name, path=f"{CELL}/{{name}}.csv", **which):
    """A table of a part of a study; the rule join_table puts them together."""
    table(name, **which)
    JOINED[name] = made(path.replace("{name}", name), **which)
    return JOINED[name]


def expanded(path, study):
    """The files of one kind that a study has."""
    return [
        path.format(study=study.name, reconstruction=study.name, **wildcards)
        for wildcards in PRODUCTS[path].of(study)
    ]


def every(path):
    """An input function: all files of one kind that the study of a job has."""
    return lambda wildcards: expanded(path, study_of(wildcards))


def table_parts(wildcards):
    """Tables of the parts of a study that make up one of its tables."""
    return expanded(JOINED[wildcards.table], study_of(wildcards))


def products_of(owner, study):
    """All tables and figures of a study or of a reconstruction."""
    paths = [path for path in PRODUCTS if path.startswith(f"results/{owner}/")]
    return list(dict.fromkeys(file for path in paths for file in expanded(path, study)))


def final_files(owner, study, *folders):
    """What it is run for: tables, figures, or both."""
    starts = tuple(f"results/{study.name}/{folder}/" for folder in folders)
    return [
        file
        for file in products_of(owner, study)
        if file.startswith(starts) and not file.endswith(".pdf")
    ]


def everything(*folders):
    """An input function: what the studies and reconstructions under `build` are run for."""
    return lambda wildcards: [
        file
        for owner, studies in (
            ("{study}", BUILT),
            ("{reconstruction}", BUILT_RECONSTRUCTIONS),
        )
        for study in studies
        for file in final_files(owner, study, *folders)
    ]


def needs():
    """What a study needs to have files of some kinds, by the first word of their names."""
    return {
        PurePosixPath(path).name.split(".")[0].split("-")[0]: product.needs
        for path, product in PRODUCTS.items()
        if product.needs
    }
