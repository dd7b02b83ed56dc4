"""What LiRA finds with few shadows: its ways to take the variance, on models that are there.

Run as ``python benchmarks/few_shadows.py [FOLDER ...]``, each a configuration with scores of at
least 16 shadows in complementary pairs; without one, those of a finished quickstart. Eight shadows
are the targets, the others are drawn in pairs: nothing is trained.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from shadowmill.attacks import ATTACKS
from shadowmill.attacks.run import bank_of
from shadowmill.metrics.ranking import tpr_at_fpr
from shadowmill.scores.files import read_scores

QUICKSTART = "results/quickstart/digits/small_convnet"
NAMES = ("lira_online", "lira_fixed", "lira_bayes_n", "lira_bayes_t")
COUNTS, NUM_TARGETS, DRAWS, FPR = (4, 8, 16, 32, 56), 8, 12, 0.01


def main() -> None:
    """Print TPR at 1 % FPR: mean and standard error over the draws."""
    folders = sys.argv[1:] or [
        f"{QUICKSTART}/{variant}" for variant in ("dense", "static-0.9", "dpf-0.9")
    ]
    for folder in folders:
        print(f"{folder}\n{'shadows':>8}" + "".join(f"{name:>16}" for name in NAMES))
        for count, values_DA in measured(folder):
            error_A = values_DA.std(axis=0, ddof=1) / np.sqrt(DRAWS)
            cells = zip(100 * values_DA.mean(axis=0), 100 * error_A, strict=True)
            line = "".join(f"{mean:9.2f} ± {error:.2f}" for mean, error in cells)
            print(f"{count:8d}  {line}", flush=True)


def measured(folder: str) -> Iterator[tuple[int, np.ndarray]]:
    """Numbers of shadows, and the mean TPR over targets of each draw and attack, (D, 4)."""
    bank = bank_of(read_scores(sorted(map(str, Path(folder).glob("scores/shadow-*.h5")))))
    num_pairs = len(bank.names) // 2
    for count in COUNTS:
        if count > 2 * num_pairs - NUM_TARGETS:
            return
        values_DA = np.empty((DRAWS, len(NAMES)))
        for draw in range(DRAWS):
            pairs = np.random.default_rng([draw, count]).permutation(num_pairs)
            models = (2 * pairs[:, None] + [0, 1]).ravel()
            shadows, targets = bank.select(models[:count]), bank.select(models[-NUM_TARGETS:])
            for index, name in enumerate(NAMES):
                rows = zip(
                    ATTACKS[name].score(shadows, targets),
                    targets.member_MN,
                    targets.nonmember_MN,
                    strict=True,
                )
                values_DA[draw, index] = np.mean(
                    [tpr_at_fpr(s[i | o], i[i | o], FPR) for s, i, o in rows]
                )
        yield count, values_DA


if __name__ == "__main__":
    main()
