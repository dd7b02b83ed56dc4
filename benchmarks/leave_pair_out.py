"""Are shadows, attacked with each other, as exposed as models that are no shadows?

Run as ``python benchmarks/leave_pair_out.py [FOLDER ...]``. First on scores without any signal, for
which an AUC of ½ and a TPR of 1 % at 1 % FPR are right. Then on each folder, a configuration with
scores of 64 shadows in complementary pairs and of some targets (without one, those of a finished
quickstart): of its shadows some are drawn in pairs and the others are fresh models. Nothing is
trained, and attacks that train networks are left out.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks import ATTACKS, Attack, ScoreBank, attack_shadows, has_enough
from shadowmill.attacks.run import bank_of
from shadowmill.metrics.ranking import auc, tpr_at_fpr
from shadowmill.scores.files import read_scores

COUNTS, DRAWS, FPR = (4, 6, 8, 16, 32, 64), 6, 0.01
NUM_EXAMPLES, NUM_QUERIES = 4_000, 1
NAMES = [name for name, row in ATTACKS.items() if row.fast]
REAL_NAMES = ("lira_online", "lira_fixed", "lira_bayes_t", "rmia_online", "attack_r", "watson")
QUICKSTART = "results/quickstart/digits/small_convnet"

Float = NDArray[np.float64]


def main() -> None:
    """Print both tables."""
    print("noise: AUC (TPR at 1 % FPR in %), leave-one-out → leave-pair-out")
    print(f"{'':28}" + "".join(f"{count:>28}" for count in COUNTS))
    for name in NAMES:
        cells = [_noise(ATTACKS[name], count) for count in COUNTS]
        print(f"{name:28}" + "".join(f"{cell:>28}" for cell in cells), flush=True)
    folders = sys.argv[1:] or [f"{QUICKSTART}/{variant}" for variant in ("dense", "dpf-0.9")]
    for folder in folders:
        print(f"\n{folder}: AUC (TPR at 1 % FPR in %), each with the standard error over draws")
        titles = ("leave-one-out", "leave-pair-out", "fresh, two fewer", "fresh")
        print(f"{'':24}" + "".join(f"{title:>28}" for title in titles))
        for line in _real(folder):
            print(line, flush=True)


def _noise(attack: Attack, count: int) -> str:
    found = {True: [], False: []}
    for draw in range(DRAWS):
        bank = _noise_bank(count, draw)
        for in_pairs, values in found.items():
            score_MN = attack_shadows(attack, bank if in_pairs else _alone(bank))
            if not np.isnan(score_MN).all():
                values.append(_pooled(score_MN, bank))
    parts = [np.mean(found[in_pairs], axis=0) if found[in_pairs] else None for in_pairs in (0, 1)]
    return " → ".join("–" if part is None else f"{part[0]:.3f} ({part[1]:.2f})" for part in parts)


def _noise_bank(count: int, seed: int) -> ScoreBank:
    rng = np.random.default_rng([seed, count])
    half_MN = rng.random((count // 2, NUM_EXAMPLES)) < 0.5
    shape = (count, NUM_EXAMPLES, NUM_QUERIES)
    centre = rng.normal(0, 3, (NUM_EXAMPLES, 1))
    phi_MNA = centre + rng.normal(size=shape)
    further = {
        "labels": rng.integers(0, 10, NUM_EXAMPLES),
        "correct": phi_MNA[..., 0] > 0,
        "entropy": rng.random(shape[:2]),
        "modified_entropy": rng.random(shape[:2]),
        "population_phi": rng.normal(0, 3, (count, 400)),
        "max_phi": np.abs(phi_MNA),
    }
    for estimator in ("finite_difference", "trace", "frobenius"):
        further[f"curvature_{estimator}"] = np.exp(centre + rng.normal(size=shape))
    return ScoreBank(phi_MNA, np.concatenate([half_MN, ~half_MN]), arrays=further)


def _alone(bank: ScoreBank) -> ScoreBank:
    """The same bank, whose shadows are left out one by one."""
    copy = bank.select(range(len(bank.names)))
    copy.__dict__["complement_M"] = np.arange(len(bank.names))
    return copy


def _pooled(score_MN: Float, bank: ScoreBank) -> tuple[float, float]:
    used_MN = ~np.isnan(score_MN) & (bank.member_MN | bank.nonmember_MN)
    ranking = score_MN[used_MN], bank.member_MN[used_MN]
    return auc(*ranking), 100 * tpr_at_fpr(*ranking, FPR)


def _each(score_MN: Float, bank: ScoreBank) -> Float:
    """Mean over the models of their own AUC and TPR."""
    rows = [
        _pooled(score_MN[[m]], bank.select([m]))
        for m in range(len(score_MN))
        if not np.isnan(score_MN[m]).all()
    ]
    return np.mean(rows, axis=0) if rows else np.full(2, np.nan)


def _real(folder: str) -> Iterator[str]:
    shadows, targets = (
        bank_of(read_scores(sorted(map(str, Path(folder).glob(f"scores/{kind}-*.h5")))))
        for kind in ("shadow", "target")
    )
    for name in REAL_NAMES:
        for count in COUNTS:
            draws = [
                _draw(ATTACKS[name], shadows, targets, count, draw) for draw in range(2 * DRAWS)
            ]
            mean, error = np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1) / np.sqrt(2 * DRAWS)
            cells = [
                "–" if np.isnan(a) else f"{a:.3f} ± {e:.3f} ({t:.2f} ± {u:.2f})"
                for (a, t), (e, u) in zip(mean, error, strict=True)
            ]
            yield f"{name:16}{count:>6}  " + "".join(f"{cell:>28}" for cell in cells)


def _draw(
    attack: Attack, shadows: ScoreBank, targets: ScoreBank, count: int, draw: int
) -> list[Float]:
    """Leave-one-out, leave-pair-out, fresh models with two shadows fewer, and with all."""
    pairs = np.random.default_rng([draw, count]).permutation(len(shadows.names) // 2)
    models = (2 * pairs[:, None] + [0, 1]).ravel()
    chosen, fewer = shadows.select(models[:count]), shadows.select(models[: count - 2])
    fresh = shadows.select(models[count:][-16:]) if count < len(models) else targets
    results = [_each(attack_shadows(attack, bank), bank) for bank in (_alone(chosen), chosen)]
    for bank in (fewer, chosen):
        enough = has_enough(attack, bank)
        results.append(_each(attack.score(bank, fresh), fresh) if enough else np.full(2, np.nan))
    return results


if __name__ == "__main__":
    main()
