import numpy as np

from shadowmill.roles.splits import shadow_half


def halves(num_models, num_examples, seed):
    """The roles of shadows in complementary pairs."""
    return np.stack([shadow_half(index, num_examples, seed) for index in range(num_models)])
