"""Which small faults in the code would no test notice? Mutants, one at a time: `make mutants`.

A mutant is a copy of the package with one change: a comparison, a sign, a constant, a condition, a
returned value. The tests of its module are run on the copy. A mutant that passes them all survives:
a test is missing, or the code has no effect. The checkout itself is never changed.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTEST = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]

# Modules (or folders of them) to their tests, those that are likely to notice first. The first row
# that fits a module counts.
TESTS = {
    "metrics/bootstrap.py": (
        "metrics/test_bootstrap.py",
        "metrics/test_class_bootstrap.py",
        "metrics/test_paired_bootstrap.py",
        "metrics/test_group_bootstrap.py",
    ),
    "metrics/resampling.py": (
        "metrics/test_group_bootstrap.py",
        "metrics/test_bootstrap.py",
        "metrics/test_class_bootstrap.py",
        "metrics/test_reconstruction.py",
    ),
    "metrics/confusion.py": ("metrics/test_confusion.py", "metrics/test_ranking.py"),
    "metrics/correlation.py": ("metrics/test_correlation.py",),
    "metrics/epsilon.py": ("metrics/test_epsilon.py",),
    "metrics/evaluation.py": ("metrics/test_evaluation.py",),
    "metrics/intervals.py": (
        "metrics/test_intervals.py",
        "metrics/test_balanced_accuracy_interval.py",
        "metrics/test_bootstrap.py",
    ),
    "metrics/multiplicity.py": ("metrics/test_multiplicity.py",),
    "metrics/ranking.py": ("metrics/test_ranking.py",),
    "metrics/reconstruction.py": ("metrics/test_reconstruction.py",),
    "tables/membership.py": ("tables/test_replicates.py", "tables/test_membership.py"),
    "tables/reconstruction.py": ("tables/test_replicates.py", "tables/test_reconstruction.py"),
    "roles/lists.py": ("test_lists.py",),
    "roles/given.py": ("test_lists.py",),
    "roles/": ("test_roles.py", "test_half_roles.py", "test_group_roles.py", "test_lists.py"),
    "imports/": ("imports/",),
    "pruning/": ("pruning/",),
    "training/batches.py": ("training/test_batches.py",),
    "training/recipe.py": ("training/test_recipe.py",),
    "training/stopping.py": ("training/test_stopping.py",),
    "seeds.py": ("test_seeds.py",),
    "storage.py": ("test_storage.py", "test_atomic_writes.py", "test_full_disk.py"),
    "state_dicts.py": ("test_state_dicts.py",),
    "config/": ("config/",),
    "attacks/prior.py": ("attacks/test_prior.py", "attacks/test_lira.py"),
    "attacks/run.py": ("attacks/test_run.py",),
    "attacks/sides.py": ("attacks/test_lira.py", "attacks/test_calibrated.py"),
    "attacks/exposure.py": ("attacks/test_exposure.py",),
    "attacks/pairs.py": ("attacks/test_pairs.py",),
    "defenses/claims.py": ("defenses/test_claims.py",),
    "data/duplicates.py": ("data/test_duplicates.py",),
    "data/inspection.py": ("data/test_inspection.py", "data/test_store.py"),
    "data/readers/images.py": ("data/test_own_images.py", "data/test_folders.py"),
    "data/readers/own_tables.py": ("data/test_own_tables.py",),
    "data/readers/own_arrays.py": ("data/test_own_arrays.py",),
    "data/readers/labels.py": ("data/test_own_tables.py", "data/test_own_arrays.py"),
    "large_arrays.py": ("test_large_arrays.py",),
    "architectures/own.py": ("architectures/test_own.py",),
    "architectures/keyed.py": ("architectures/test_own.py",),
    "architectures/check.py": ("architectures/test_own.py",),
    "attacks/groups.py": ("attacks/test_groups.py",),
    "tables/groups.py": ("tables/test_groups.py",),
    "figures/letters.py": ("figures/test_letters.py",),
    "tables/privacy_audit.py": ("tables/test_privacy_audit.py",),
    "tables/vulnerable.py": ("tables/test_vulnerable.py",),
    "tables/attack_examples.py": ("tables/test_vulnerable.py",),
}

# Mutants that behave as the code does, each with the reason: module, line, change.
EQUIVALENT = {
    (
        "training/batches.py",
        "is_flipped = (random.random(shape) < 0.5) & self._flip",
        "Lt to LtE",
    ): "a draw of exactly ½ has a probability of 2⁻⁵³",
    (
        "training/batches.py",
        "index = members[random.random(len(members)) < self.sample_rate]",
        "Lt to LtE",
    ): "so has one of exactly the rate",
    (
        "metrics/reconstruction.py",
        "return self._pooled(weight_RH, np.tile(weight_RG, 2))[:, 1:]",
        "2 to 3",
    ): "weights of columns that there are none of are not looked at",
    (
        "training/recipe.py",
        "if step < rise:",
        "Lt to LtE",
    ): "at the top the rise and the half cosine are both the peak",
    (
        "training/stopping.py",
        "self._last_epoch = torch.full((num_models,), -1, device=device)",
        "1 to 2",
    ): "any number below 0 says that a model has not stopped",
    (
        "metrics/reconstruction.py",
        "return min(self.std_h0, self.std_h1) >= _NARROWEST",
        "GtE to Gt",
    ): "no standard deviation of rounding errors is 1e-9 to the last digit",
    (
        "pruning/masks.py",
        "if scores.is_cuda:  # where kthvalue is one block: 65 ms for 11 million on an H200, "
        "sorting 0.6",
        "condition negated",
    ): "both ways find the same number, one sooner than the other",
}

_COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_CONDITIONAL = (ast.If, ast.IfExp, ast.While)


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        module: its path in the package.
        number: of the change, among all of the module.
        line: where it is.
        text: what stands on that line.
        change: what is done.
    """

    module: str
    number: int
    line: int
    text: str
    change: str

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.module}:{self.line}: {self.change}: {self.text}"


def mutants(module: str, source: str) -> list[Mutant]:
    """All mutants of a module."""
    lines = source.splitlines()
    return [
        Mutant(module, number, node.lineno, lines[node.lineno - 1].strip(), change)
        for number, (node, change, _) in enumerate(_changes(ast.parse(source)))
    ]


def mutated(source: str, number: int | None) -> str:
    """The source of a module with one of its changes, or with none, but written the same way."""
    tree = ast.parse(source)
    if number is not None:
        _, _, apply = list(_changes(tree))[number]
        apply()
    return ast.unparse(tree)


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, Callable[[], None]]]:
    """What can be changed: where, in words, and how, in place."""
    match node:
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                other = _COMPARISONS[type(op)]
                yield node, _words(op, other), lambda i=index, o=other: ops.__setitem__(i, o())
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op):
            if other := _OPERATORS.get(type(op)):
                yield node, _words(op, other), lambda: setattr(node, "op", other())
        case ast.UnaryOp(op=ast.Not() | ast.USub()) if not isinstance(node.operand, ast.Constant):
            # Twice is not at all.
            twice = ast.UnaryOp(node.op, node.operand)
            yield node, f"no {type(node.op).__name__}", lambda: setattr(node, "operand", twice)
        case ast.Constant(value=bool() as value):
            yield node, f"{value} to {not value}", lambda: setattr(node, "value", not value)
        case ast.Constant(value=int() as value):
            yield node, f"{value} to {value + 1}", lambda: setattr(node, "value", value + 1)
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield node, "return None", lambda: setattr(node, "value", ast.Constant(None))
    if isinstance(node, _CONDITIONAL) and _negation_is_new(node.test):
        negated = ast.UnaryOp(ast.Not(), node.test)
        yield node, "condition negated", lambda: setattr(node, "test", negated)
    if isinstance(node, ast.comprehension):
        for index, test in enumerate(node.ifs):
            if _negation_is_new(test):
                negated = ast.UnaryOp(ast.Not(), test)
                yield (
                    test,
                    "condition negated",
                    lambda i=index, n=negated: node.ifs.__setitem__(i, n),
                )
    for child in _children(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _changes(child)


def _words(op: ast.AST, other: type[ast.AST]) -> str:
    return f"{type(op).__name__} to {other.__name__}"


def _negation_is_new(test: ast.expr) -> bool:
    """Whether it is no change of the condition itself, such as == to !=."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return isinstance(test.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
    return not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """All parts that do something: no type hints, no wording, no checks for the reader's sake."""
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Assert():
            return
        case ast.Call(func=ast.Name(id=name)) if name.endswith("Error"):
            return
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "logging" | "warnings"))):
            return
    left_out = {
        ast.FunctionDef: ("decorator_list", "returns"),
        ast.ClassDef: ("decorator_list",),
        ast.arg: ("annotation",),
        ast.AnnAssign: ("annotation",),
    }.get(type(node), ())
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            # `strict` of `zip` says that the lengths are equal.
            is_strict = isinstance(child, ast.keyword) and child.arg == "strict"
            if isinstance(child, ast.AST) and name not in left_out and not is_strict:
                yield child


class Judge:
    """A copy of the package in a temporary folder, on which tests are run."""

    def __init__(self, root: Path, folder: Path) -> None:
        """Copy the package.

        Args:
            root: with `scripts/shadowmill` and `tests`.
            folder: empty.
        """
        self._root, self._copy = root, folder
        scripts, ignored = folder / "scripts", shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / "scripts", scripts, ignore=ignored)
        self._environment = os.environ | {"PYTHONPATH": str(scripts), "OMP_NUM_THREADS": "1"}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._limits: dict[Sequence[str], float] = {}

    def check(self, tests: Sequence[str]) -> None:
        """See to it that tests pass without a mutant, and how long they take.

        Raises:
            SystemExit: they fail.
        """
        if tests in self._limits:
            return
        start = time.monotonic()
        run = self._run(tests, None)
        if run.returncode:
            sys.exit(f"{run.stdout}\n{' '.join(tests)} fails without a mutant")
        self._limits[tests] = 3 * (time.monotonic() - start) + 20

    def is_caught(self, mutant: Mutant, tests: Sequence[str]) -> bool:
        """Whether one of the tests fails, or does not come to an end."""
        self.write(mutant.module, mutant.number)
        try:
            return self._run(tests, self._limits[tests]).returncode != 0
        except subprocess.TimeoutExpired:
            return True
        finally:
            self.write(mutant.module, None)

    def write(self, module: str, number: int | None) -> None:
        """Put a module into the copy, with one of its changes or none."""
        of = Path("scripts") / "shadowmill" / module
        path, source = self._copy / of, (self._root / of).read_text(encoding="utf-8")
        path.write_text(mutated(source, number), encoding="utf-8")
        # Bytecode is told from outdated one by seconds and sizes, which may be the same.
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()

    def _run(self, tests: Sequence[str], limit: float | None) -> subprocess.CompletedProcess[str]:
        files = [str(Path("tests") / test) for test in tests]
        return subprocess.run(
            [sys.executable, *PYTEST, *files],
            cwd=self._root,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=limit,
        )


def its_tests(module: str, table: Mapping[str, Sequence[str]] = TESTS) -> Sequence[str] | None:
    """The tests of a module, None if it is not in the table."""
    for part, tests in table.items():
        if module == part or (part.endswith("/") and module.startswith(part)):
            return tests
    return None


def all_mutants(root: Path, table: Mapping[str, Sequence[str]] = TESTS) -> list[Mutant]:
    """Those of all modules in the table, but for equivalents."""
    package = root / "scripts" / "shadowmill"
    found = []
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).as_posix()
        if its_tests(module, table) is not None:
            found += mutants(module, path.read_text(encoding="utf-8"))
    return [each for each in found if (each.module, each.text, each.change) not in EQUIVALENT]


def verdicts(
    root: Path, chosen: Sequence[Mutant], table: Mapping[str, Sequence[str]] = TESTS
) -> Iterator[tuple[Mutant, bool]]:
    """Run the tests of each mutant, and say whether it is caught."""
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(root, Path(folder))
        for mutant in chosen:
            judge.write(mutant.module, None)
        for mutant in chosen:
            judge.check(its_tests(mutant.module, table))
        for mutant in chosen:
            yield mutant, judge.is_caught(mutant, its_tests(mutant.module, table))


def main() -> None:
    """Print the survivors, and keep them in `results/mutants.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the choice")
    parser.add_argument("--count", type=int, default=160, help="how many mutants, at most")
    parser.add_argument("--module", default="", help="only of modules whose path begins so")
    options = parser.parse_args()
    possible = [each for each in all_mutants(ROOT) if each.module.startswith(options.module)]
    count = min(options.count, len(possible))
    chosen = random.Random(options.seed).sample(possible, count)
    print(f"{count} of {len(possible)} mutants", flush=True)
    found = []
    for number, (mutant, is_caught) in enumerate(verdicts(ROOT, chosen), start=1):
        if not is_caught:
            print(f"{number}. {mutant}", flush=True)
            found.append(mutant)
    print(f"{count - len(found)} of {count} caught, {(count - len(found)) / max(count, 1):.1%}")
    facts = {"seed": options.seed, "count": count, "survivors": [asdict(each) for each in found]}
    path = ROOT / "results" / "mutants.json"
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
