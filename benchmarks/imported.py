"""What it costs to imitate a finished model badly: other training sets, other recipes.

Run as ``python benchmarks/imported.py``, some minutes on one core. On digits, with the quickstart's
network: targets train on half of the pool, or on 80 % of it; they are attacked with shadows on
halves, as the workflow trains them for a finished model, by the same recipe, by one of half the
epochs, and with another optimiser; and with shadows on 80 %, which no user of the workflow has.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from curvature import digits_data
from training import settings_of

from shadowmill.attacks import ATTACKS
from shadowmill.attacks.bank import ScoreBank
from shadowmill.data.store import Data
from shadowmill.metrics.bootstrap import two_way_bootstrap
from shadowmill.scores.statistics import logit_scaled_confidence
from shadowmill.training.batches import Normaliser, Pool
from shadowmill.training.forward import stacked_forward
from shadowmill.training.lockstep import Stack
from shadowmill.training.spec import ModelSpec

NUM_TARGETS, NUM_SHADOWS, STACK = 32, 64, 32
FPR, REPLICATES = 0.01, 500
ADAM = {"optimizer": "adam", "learning_rate": 0.003, "momentum": 0.0, "weight_decay": 0.0}
RECIPES: dict[str, dict[str, Any]] = {
    "same recipe": {},
    "half the epochs": {"epochs": 7},
    "Adam": ADAM,
}


def members_of(share: float, count: int, size: int, seed: int) -> np.ndarray:
    """(count, size) bool: of a half, pairs are complementary."""
    random = np.random.default_rng([seed, int(100 * share)])
    rows = []
    while len(rows) < count:
        row = np.zeros(size, bool)
        row[random.permutation(size)[: int(share * size)]] = True
        rows += [row, ~row] if share == 0.5 else [row]
    return np.stack(rows[:count])


def trained(data: Data, member_MN: np.ndarray, seed: int, recipe: Mapping[str, Any]) -> ScoreBank:
    """Train models and ask them about all examples."""
    settings = settings_of("small_convnet", "dense", 16)
    settings["recipe"] = settings["recipe"] | recipe
    pool, parts = Pool(data, data.pool_size, torch.device("cpu")), []
    for start in range(0, len(member_MN), STACK):
        specs = [
            ModelSpec(f"{seed}-{k}", 1000 * seed + k, np.flatnonzero(member_N), np.empty(0, int))
            for k, member_N in enumerate(member_MN[start : start + STACK], start)
        ]
        stack = Stack(specs, settings, data, pool, int(member_MN[0].sum()))
        while not stack.is_finished:
            stack.train_step()
        parts.append(phi_of(stack, data))
    return ScoreBank(np.concatenate(parts)[..., None], member_MN)


@torch.no_grad()
def phi_of(stack: Stack, data: Data) -> np.ndarray:
    """φ (M, N) of all models of a stack on all examples."""
    inputs = Normaliser(data, torch.device("cpu"))(torch.from_numpy(data.inputs))
    logits = stacked_forward(
        stack._module.eval(), stack.parameters, stack.buffers, inputs, shared=True
    )
    labels = torch.from_numpy(data.labels).expand(len(logits), -1)
    return logit_scaled_confidence(logits, labels).numpy()


def main() -> None:
    """Print AUC and TPR over all targets in one ranking, with 95 % intervals."""
    torch.set_num_threads(1)
    data = digits_data()
    size = data.pool_size
    targets = {
        share: trained(data, members_of(share, NUM_TARGETS, size, 1), 1, {}) for share in (0.5, 0.8)
    }
    halves = members_of(0.5, NUM_SHADOWS, size, 2)
    shadows = {name: trained(data, halves, 2, recipe) for name, recipe in RECIPES.items()}
    larger = members_of(0.8, NUM_SHADOWS, size, 2)
    shadows["same recipe, on 80 %"] = trained(data, larger, 2, {})
    print(f"{NUM_TARGETS} targets, {NUM_SHADOWS} shadows, digits, small convnet, 15 epochs")
    for share, bank in targets.items():
        for name, others in shadows.items():
            for attack in ("lira_fixed", "rmia_online"):
                score_TN = ATTACKS[attack].score(others, bank)
                used_TN = ~np.isnan(score_TN)
                found = two_way_bootstrap(
                    np.nan_to_num(score_TN), bank.member_MN & used_TN, [FPR], REPLICATES, 0,
                    nonmember_MN=bank.nonmember_MN & used_TN,
                )  # fmt: skip
                auc, tpr = found["auc", "pooled"], found[f"tpr_at_fpr_{FPR:g}", "pooled"]
                print(
                    f"on {share:.0%}; shadows: {name:22s} {attack:12s} "
                    f"AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]  "
                    f"TPR {tpr.value:.2%} [{tpr.low:.2%}, {tpr.high:.2%}]",
                    flush=True,
                )


if __name__ == "__main__":
    main()
