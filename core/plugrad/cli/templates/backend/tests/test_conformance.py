"""The proof that the device is right: plugrad's conformance kit, as one class."""

from plugrad.testing import Conformance


class TestBanana(Conformance):
    """`xfails` maps the ids of checks that must fail to the reasons why; one that passes after all is a failure."""

    device = "banana"
    xfails = {}
