"""Time LiRA: closed-form against looped over all shadows, and the full CIFAR-10 scale.

Run as ``python benchmarks/lira.py``. Times are wall-clock seconds of one process.

Legend: M models, N examples, A queries.
"""

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shadowmill.attacks import ScoreBank, lira
from shadowmill.attacks.lira import MODES


def main() -> None:
    """Print both tables."""
    bank = synthetic_bank(64, 5_000, 2)
    print("Every shadow in turn, 64 models × 5,000 examples × 2 queries")
    print(f"{'mode':8} {'loop s':>9} {'closed s':>9} {'ratio':>7} {'largest difference':>19}")
    for mode in MODES:
        looped_seconds, looped_MN = timed(looped, bank, mode)
        closed_seconds, closed_MN = timed(lira, bank, None, mode)
        ratio = looped_seconds / closed_seconds
        difference = np.abs(looped_MN - closed_MN).max()
        print(
            f"{mode:8} {looped_seconds:9.3f} {closed_seconds:9.3f} {ratio:6.1f}× {difference:19.1e}"
        )

    bank = synthetic_bank(64, 50_000, 18)
    target = synthetic_bank(2, 50_000, 18, seed=1).select([0])
    print(f"\n64 models × 50,000 examples × 18 queries, φ {bank.phi_MNA.nbytes / 1e9:.2f} GB")
    print(f"{'mode':8} {'lira s':>9} {'each shadow s':>16}")
    for mode in MODES:
        target_seconds, _ = timed(lira, bank, target, mode)
        closed_seconds, _ = timed(lira, bank, None, mode)
        print(f"{mode:8} {target_seconds:9.2f} {closed_seconds:16.2f}")
    print(f"peak memory of the process {peak_bytes() / 1e9:.2f} GB")


def synthetic_bank(
    num_models: int, num_examples: int, num_queries: int, seed: int = 0
) -> ScoreBank:
    """Gaussian float32 scores, shifted by one standard deviation where member, in pairs."""
    rng = np.random.default_rng(seed)
    half_MN = rng.random((num_models // 2, num_examples)) < 0.5
    member_MN = np.stack([half_MN, ~half_MN], axis=1).reshape(num_models, num_examples)
    phi_MNA = rng.standard_normal((num_models, num_examples, num_queries), dtype=np.float32)
    phi_MNA += member_MN[:, :, None]
    return ScoreBank(phi_MNA, member_MN)


def looped(bank: ScoreBank, mode: str) -> NDArray[np.float64]:
    """Attack each model in turn with all others but its complement."""
    rows = []
    for model, complement in enumerate(bank.complement_M):
        rows.append(lira(bank.without([model, complement]), bank.select([model]), mode))
    return np.concatenate(rows)


def timed(
    function: Callable[..., NDArray[np.float64]], *arguments: object
) -> tuple[float, NDArray[np.float64]]:
    """Seconds of the faster of two calls, and the result: the first call may import scipy."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        result = function(*arguments)
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def peak_bytes() -> int:
    """Largest resident memory so far; macOS counts in bytes, Linux in kibibytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
