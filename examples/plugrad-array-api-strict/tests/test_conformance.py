"""The whole test file of a backend: the conformance kit."""

from plugrad.testing import Conformance


class TestStrict(Conformance):
    """`device("strict")` keeps the contract."""

    device = "strict"
    xfails = {"op:complex": "the standard joins two parts by arithmetic alone, and 1j * inf is nan+infj"}
