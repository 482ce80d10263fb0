"""The proof that the operators are right: plugrad's opcheck."""

import numpy as np

import plugrad
from plugrad.testing import opcheck


def test_ripen():
    opcheck(plugrad.ops.fruit.ripen, domain=(-3.0, 3.0), reference=lambda x: x / np.sqrt(1 + x * x))
