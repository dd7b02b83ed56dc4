import numpy as np
from sklearn.datasets import load_digits

from shadowmill.data import DATASETS
from shadowmill.data.readers.digits import digits


def test_digits_are_scikit_learns_spread_over_bytes(tmp_path):
    examples = digits(tmp_path)
    assert examples.inputs.shape == (1797, 8, 8, 1)
    assert examples.inputs.dtype == np.uint8
    original = load_digits()
    # 17 levels, 0…16, a sixteenth of 255 = 15.9375 apart.
    levels = [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255]
    expected = np.array(levels, np.uint8)[original.images.astype(int)]
    np.testing.assert_array_equal(examples.inputs[..., 0], expected)
    assert examples.labels.dtype == np.int64
    np.testing.assert_array_equal(examples.labels, original.target)
    assert examples.class_names == tuple("0123456789")


def test_all_digits_form_the_pool(tmp_path):
    examples = digits(tmp_path)
    assert not examples.is_test.any()
    assert len(examples.is_test) == DATASETS["digits"].pool_size == 1797
