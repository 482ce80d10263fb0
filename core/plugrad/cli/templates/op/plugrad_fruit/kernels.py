"""Kernels by hand, for devices that can do better than an operator's default."""

import numpy as np


def ripen(x):
    """The same on NumPy, in one piece of memory; `x` is not written."""
    y = np.empty_like(x)
    np.multiply(x, x, out=y)
    np.add(y, 1, out=y)
    np.sqrt(y, out=y)
    return np.divide(x, y, out=y)
