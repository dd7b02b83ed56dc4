"""What LiRA finds with few shadows: its ways to take the variance, on models that are there.

Run as ``python benchmarks/few_shadows.py [FOLDER ...]``, each a configuration with scores of at
least 16 shadows in complementary pairs; without one, those of a finished quickstart. Eight shadows
are the targets, the others are drawn in pairs: nothing is trained.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import t

from shadowmill.attacks import ATTACKS
from shadowmill.attacks.run import bank_of
from shadowmill.metrics.ranking import tpr_at_fpr
from shadowmill.scores.files import read_scores

QUICKSTART = "results/quickstart/digits/small_convnet"
NAMES = ("lira_online", "lira_fixed", "lira_bayes_n", "lira_bayes_t")
COUNTS, NUM_TARGETS, DRAWS, FPRS = (4, 8, 16, 32, 56), 8, 12, (0.01, 0.001)


def main() -> None:
    """Print TPR at both FPRs: mean, and half the width of its 95 % interval, over the draws."""
    folders = sys.argv[1:] or [
        f"{QUICKSTART}/{variant}" for variant in ("dense", "static-0.9", "dpf-0.9")
    ]
    for folder in folders:
        print(f"{folder}\n{'FPR':>6}{'shadows':>9}" + "".join(f"{name:>16}" for name in NAMES))
        for count, values_DFA in measured(folder):
            reach_FA = t.ppf(0.975, DRAWS - 1) * values_DFA.std(axis=0, ddof=1) / np.sqrt(DRAWS)
            for fpr, mean_A, reach_A in zip(FPRS, values_DFA.mean(axis=0), reach_FA, strict=True):
                cells = zip(100 * mean_A, 100 * reach_A, strict=True)
                line = "".join(f"{mean:9.2f} ± {reach:.2f}" for mean, reach in cells)
                print(f"{fpr:6.1%}{count:9d}  {line}", flush=True)


def measured(folder: str) -> Iterator[tuple[int, np.ndarray]]:
    """Numbers of shadows, and TPR with all targets in one ranking, by draw, FPR and attack."""
    bank = bank_of(read_scores(sorted(map(str, Path(folder).glob("scores/shadow-*.h5")))))
    num_pairs = len(bank.names) // 2
    for count in COUNTS:
        if count > 2 * num_pairs - NUM_TARGETS:
            return
        values_DFA = np.empty((DRAWS, len(FPRS), len(NAMES)))
        for draw in range(DRAWS):
            pairs = np.random.default_rng([draw, count]).permutation(num_pairs)
            models = (2 * pairs[:, None] + [0, 1]).ravel()
            shadows, targets = bank.select(models[:count]), bank.select(models[-NUM_TARGETS:])
            for index, name in enumerate(NAMES):
                score_TN = ATTACKS[name].score(shadows, targets)
                used_TN = targets.member_MN | targets.nonmember_MN
                ranking = score_TN[used_TN], targets.member_MN[used_TN]
                values_DFA[draw, :, index] = [tpr_at_fpr(*ranking, fpr) for fpr in FPRS]
        yield count, values_DFA


if __name__ == "__main__":
    main()
