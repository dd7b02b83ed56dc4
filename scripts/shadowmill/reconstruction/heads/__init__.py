"""Training of many heads at once, and their weights.

A head is a small classifier on frozen deep features: d → J, or d → J → 1 with ReLU in between. It
is trained on a handful of examples, all of them at each step, by plain gradient descent, DP-SGD or
Adam. Settings of heads are a mapping:

- `outputs`: K for cross-entropy over K classes, 1 for binary cross-entropy with logits;
- `hidden`: 0 for a linear head, or J hidden units (with one output only);
- `epochs`: of one step each, with privacy of round(1/q) steps;
- `learning_rate`; `weight_decay` as torch's optimisers have it, of biases too;
- `init_std`: initial weights of every layer are N(0, init_std²), biases 0;
- `optimizer`: `sgd` (without momentum) or `adam`;
- `positive_weight`: of label 1 in the binary cross-entropy;
- `restart`: None, or `above` and `times`: a head ending at such a loss or a higher one is trained
  again from other initial weights, at most so many times;
- `privacy`: None, or `noise_multiplier` σ, `max_grad_norm` C, `sample_rate` q and `delta`.
"""

from shadowmill.reconstruction.heads.network import num_steps
from shadowmill.reconstruction.heads.trained import Heads, flattened_size, weights
from shadowmill.reconstruction.heads.training import train

__all__ = ["Heads", "flattened_size", "num_steps", "train", "weights"]
