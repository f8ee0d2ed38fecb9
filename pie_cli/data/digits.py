"""scikit-learn's 1,797 handwritten digits, which need no download."""

from pie_cli.data.base import Dataset, ImageSet

DIGITS = tuple("0123456789")  # the classes' names, here and in other sets of digits
DIGITS_TRAIN, DIGITS_VALIDATION = 1_297, 200  # of 1,797; the other 300 are the test set


def load_digits() -> Dataset:
    """Return scikit-learn's 8×8 digits with pixels 0 to 16, enlarged to MNIST's size and range."""
    import numpy as np
    import torch
    from sklearn import datasets

    digits = datasets.load_digits()
    small = torch.from_numpy(digits.images).float().unsqueeze(1) * (255 / 16)
    large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear", antialias=False)
    # The split must stay the same for ever, and only NumPy's legacy generator promises that.
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(large)))
    shuffled = ImageSet(large.round().byte()[order], torch.from_numpy(digits.target).long()[order])
    end = DIGITS_TRAIN + DIGITS_VALIDATION
    source = "scikit-learn's 1,797 digits, 8×8 enlarged to 28×28"
    return Dataset("digits", source, shuffled[:DIGITS_TRAIN], shuffled[DIGITS_TRAIN:end], shuffled[end:], DIGITS)
