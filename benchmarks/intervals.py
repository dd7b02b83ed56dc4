"""Do the intervals cover, and how often are classes called different that are alike?

Run as ``python benchmarks/intervals.py``; minutes. Prints the tables of docs/methods.md:

1. coverage and mean width of the interval of a target's TPR, and of Clopper–Pearson's at the
   threshold found, which takes that threshold to be the true one;
2. the share of studies in which no member of low scores is found, and how often the interval over
   all models covers the true TPR then;
3. the share of studies of noise whose class disparity has p ≤ 0.05, small classes too;
4. the smallest leak that studies of some sizes would have seen in four of five cases.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from shadowmill.attacks import ATTACKS, ScoreBank, attack_shadows
from shadowmill.metrics import bootstrap
from shadowmill.metrics.bootstrap import class_bootstrap, two_way_bootstrap
from shadowmill.metrics.intervals import clopper_pearson, detectable, tpr_interval
from shadowmill.metrics.ranking import operating_point

TARGETS, MEMBERS = 1_000, 2_000
STUDIES, REPLICATES, NUM_CLASSES = 200, 200, 10

Rng = np.random.Generator
Float = NDArray[np.float64]


def gaussian(shift: float) -> tuple[Callable[[Rng], Float], Callable[[float], float]]:
    """Members are normal, `shift` above non-members; and the true TPR at an FPR."""
    return (
        lambda rng: rng.normal(shift, 1, MEMBERS),
        lambda fpr: norm.sf(norm.isf(fpr) - shift),
    )


def exposed_few() -> tuple[Callable[[Rng], Float], Callable[[float], float]]:
    """One member in twenty stands out by far, the others not at all."""

    def draw(rng: Rng) -> Float:
        return rng.normal(6 * (rng.random(MEMBERS) < 0.05), 1)

    return draw, lambda fpr: 0.05 * norm.sf(norm.isf(fpr) - 6) + 0.95 * fpr


def coverage() -> None:
    """Print the first table."""
    print("| members | FPR | false positives allowed | true TPR | coverage | width | CP | width |")
    cases = {"noise": gaussian(0), "shifted by 1 σ": gaussian(1), "5 % exposed": exposed_few()}
    for name, (draw, truth) in cases.items():
        for fpr, allowed in ((0.01, 1), (0.01, 5), (0.01, 25), (0.001, 1), (0.001, 5)):
            true, nonmembers = truth(fpr), round(allowed / fpr)
            member = np.arange(MEMBERS + nonmembers) < MEMBERS
            found = []
            for target in range(TARGETS):
                rng = np.random.default_rng([target, allowed])
                scores = np.concatenate([draw(rng), rng.normal(size=nonmembers)])
                hits = operating_point(scores, member, fpr).true_positives
                for low, high in (
                    tpr_interval(scores, member, fpr),
                    clopper_pearson(hits, MEMBERS),
                ):
                    found += [low <= true <= high, high - low]
            covered, width, naive, narrow = np.reshape(found, (TARGETS, 4)).mean(axis=0)
            ours, theirs = f"{covered:.1%} | {100 * width:.2f}", f"{naive:.1%} | {100 * narrow:.2f}"
            print(
                f"| {name} | {fpr:.1%} | {allowed} | {true:.2%} | {ours} | {theirs} |", flush=True
            )


def borders() -> None:
    """Print the second table: members lie 1 σ below non-members, so that next to none is found."""
    print("\n| shadows | examples | true TPR at 1 % FPR | none found | covers then |")
    true = norm.sf(norm.isf(0.01) + 1)
    for count, examples in ((4, 200), (8, 500)):
        covers = []
        for seed in range(STUDIES):
            rng = np.random.default_rng([seed, count])
            member_MN = rng.random((count, examples)) < 0.5
            scores_MN = rng.normal(size=member_MN.shape) - member_MN
            found = two_way_bootstrap(scores_MN, member_MN, (0.01,), REPLICATES, seed)
            value, low, high = found["tpr_at_fpr_0.01", "pooled"]
            if value == 0:
                covers.append(low <= true <= high)
        shares = f"{len(covers) / STUDIES:.0%} | {np.mean(covers):.0%}" if covers else "0% | –"
        print(f"| {count} | {examples} | {true:.3%} | {shares} |", flush=True)


def size() -> None:
    """Print the third table."""
    bootstrap.MIN_CLASS_SIZE = 1
    print("\n| attack | shadows | examples of a class | AUC | TPR at 10 % FPR |")
    for attack, counts in (("watson", (4, 8)), ("lira_fixed", (6, 8, 16, 64))):
        for count in counts:
            for examples in (1, 5, 20, 100):
                p_SK = np.array([_p_values(attack, count, examples, s) for s in range(STUDIES)])
                shares = [
                    f"{np.mean(p_S[~np.isnan(p_S)] <= 0.05):.1%}" if np.isfinite(p_S).any() else "–"
                    for p_S in p_SK.T
                ]
                print(f"| `{attack}` | {count} | {examples} | {' | '.join(shares)} |", flush=True)


def power() -> None:
    """Print the fourth table."""
    print("\n| examples | shadows | AUC | TPR at 1 % FPR | at 0.1 % FPR |")
    for examples in (500, 2_000, 10_000, 50_000):
        for count in (8, 64):
            rng = np.random.default_rng([examples, count])
            half_MN = rng.random((count // 2, examples)) < 0.5
            member_MN = np.stack([half_MN, ~half_MN], axis=1).reshape(count, examples)
            found = two_way_bootstrap(
                rng.normal(size=member_MN.shape), member_MN, (0.01, 0.001), REPLICATES, seed=0
            )
            levels = [("auc", 0.5), ("tpr_at_fpr_0.01", 0.01), ("tpr_at_fpr_0.001", 0.001)]
            seen = [detectable(at, *found[name, "pooled"][1:]) for name, at in levels]
            cells = f"{seen[0]:.4f} | {seen[1]:.2%} | {seen[2]:.3%}"
            print(f"| {examples:,} | {count} | {cells} |", flush=True)


def _p_values(attack: str, num_shadows: int, examples: int, seed: int) -> list[float]:
    rng = np.random.default_rng([seed, num_shadows, examples])
    num_examples = examples * NUM_CLASSES
    half_MN = rng.random((num_shadows // 2, num_examples)) < 0.5
    member_MN = np.stack([half_MN, ~half_MN], axis=1).reshape(num_shadows, num_examples)
    bank = ScoreBank(rng.normal(size=(*member_MN.shape, 1)), member_MN)
    labels_N = np.arange(num_examples) % NUM_CLASSES
    score_MN = attack_shadows(ATTACKS[attack], bank)
    used_M = member_MN.any(axis=1) & ~member_MN.all(axis=1)
    if not used_M.all():
        return [np.nan, np.nan]
    _, disparity = class_bootstrap(score_MN, member_MN, labels_N, [0.1], REPLICATES, seed)
    return [found.p_value for found in disparity.values()]


if __name__ == "__main__":
    coverage()
    borders()
    power()
    size()
