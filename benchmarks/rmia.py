"""Time RMIA: sorted search against the matrix of all pairs, and the full CIFAR-10 scale.

Run as ``python benchmarks/rmia.py``. Times are wall-clock seconds of one process.

Legend: M models, N examples, Z population examples.
"""

from dataclasses import replace

import numpy as np
from lira import peak_bytes, synthetic_bank, timed
from numpy.typing import NDArray

from shadowmill.attacks import ScoreBank
from shadowmill.attacks.rmia import MODES, count_dominated, rmia


def main() -> None:
    """Print both tables."""
    rng = np.random.default_rng(0)
    log_ratio_N, log_ratio_Z = rng.standard_normal(20_000), rng.standard_normal(5_000)
    print("Dominated population, 20,000 examples × 5,000 of the population")
    matrix_seconds, matrix_N = timed(matrix_count, log_ratio_N, log_ratio_Z)
    search_seconds, search_N = timed(count_dominated, log_ratio_N, log_ratio_Z)
    ratio = matrix_seconds / search_seconds
    print(f"{'matrix s':>9} {'search s':>9} {'ratio':>7} {'largest difference':>19}")
    difference = np.abs(matrix_N - search_N).max()
    print(f"{matrix_seconds:9.3f} {search_seconds:9.4f} {ratio:6.0f}× {difference:19d}")

    bank = with_population(synthetic_bank(64, 50_000, 2), 10_000)
    target = with_population(synthetic_bank(2, 50_000, 2, seed=1), 10_000).select([0])
    print("\n64 models × 50,000 examples × 2 queries, 10,000 of the population, a tuned")
    print(f"{'mode':8} {'rmia s':>9} {'each shadow s':>16}")
    for mode in MODES:
        target_seconds, _ = timed(rmia, bank, target, mode)
        closed_seconds, _ = timed(rmia, bank, None, mode)
        print(f"{mode:8} {target_seconds:9.2f} {closed_seconds:16.2f}")
    print(f"peak memory of the process {peak_bytes() / 1e9:.2f} GB")


def matrix_count(
    log_ratio_N: NDArray[np.float64], log_ratio_Z: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The definition: compare every example with every one of the population."""
    return np.greater_equal.outer(np.exp(log_ratio_N), np.exp(log_ratio_Z)).sum(axis=1)


def with_population(bank: ScoreBank, num_population: int) -> ScoreBank:
    """The bank with standard normal φ of a population."""
    rng = np.random.default_rng(2)
    shape = (len(bank.names), num_population)
    return replace(bank, arrays={"population_phi": rng.standard_normal(shape, dtype=np.float32)})


if __name__ == "__main__":
    main()
