"""Time every attack that trains no network, and the bootstrap, at the scale of CIFAR-10.

Run as ``python benchmarks/attacks.py``. Wall-clock seconds of one process; random scores.
"""

import dataclasses
import time

import numpy as np
from lira import peak_bytes, synthetic_bank

from shadowmill.attacks import ATTACKS, NETWORK_ATTACKS, attack_shadows
from shadowmill.metrics.bootstrap import paired_bootstrap, two_way_bootstrap
from shadowmill.scores.arrays import CURVATURES

NUM_MODELS, NUM_EXAMPLES, NUM_QUERIES, NUM_CLASSES = 64, 50_000, 18, 10
FPRS = (0.1, 0.01, 0.001, 0.0001, 0.00001)
REPLICATES = 1_000


def main() -> None:
    """Print seconds for every shadow as target, then those of the bootstraps."""
    rng = np.random.default_rng(0)
    bank = synthetic_bank(NUM_MODELS, NUM_EXAMPLES, NUM_QUERIES)
    shape = bank.member_MN.shape
    bank = dataclasses.replace(
        bank,
        arrays={
            "labels": rng.integers(0, NUM_CLASSES, NUM_EXAMPLES),
            "correct": rng.random(shape) < 0.9,
            "entropy": rng.random(shape, dtype=np.float32),
            "modified_entropy": rng.random(shape, dtype=np.float32),
            "population_phi": rng.standard_normal((NUM_MODELS, 10_000), dtype=np.float32),
            "max_phi": np.abs(bank.phi_MNA),
            **{
                name: rng.lognormal(size=bank.phi_MNA.shape).astype(np.float32)
                for name in CURVATURES.values()
            },
        },
    )
    size = f"{NUM_MODELS} models × {NUM_EXAMPLES:,} examples × {NUM_QUERIES} queries"
    print(f"{size}, every shadow in turn")
    skipped = {*NETWORK_ATTACKS, *(name for name in ATTACKS if name.startswith("quantile"))}
    total, scores = 0.0, {}
    for name, attack in ATTACKS.items():
        if name in skipped:
            continue
        start = time.perf_counter()
        scores[name] = attack_shadows(attack, bank)
        seconds = time.perf_counter() - start
        total += seconds
        print(f"{name:28}{seconds:8.2f} s", flush=True)
    print(f"{'all of these':28}{total:8.2f} s")
    rest = (bank.member_MN, FPRS, REPLICATES, 0)
    one, other = scores["lira_online"], scores["lira_fixed"]
    for name, function, arguments in (
        ("two-way bootstrap", two_way_bootstrap, (one, *rest)),
        ("paired bootstrap", paired_bootstrap, (one, other, *rest)),
    ):
        start = time.perf_counter()
        function(*arguments)
        print(f"{name:28}{time.perf_counter() - start:8.2f} s   ({REPLICATES:,} replicates)")
    print(f"peak memory of the process {peak_bytes() / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
