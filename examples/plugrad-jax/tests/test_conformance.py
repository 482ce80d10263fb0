"""The whole test file of a backend: the conformance kit."""

from plugrad.testing import Conformance


class TestJax(Conformance):
    """`device("jax")` keeps the contract."""

    device = "jax"
    timeout = 600.0  # JAX compiles each op for each shape
