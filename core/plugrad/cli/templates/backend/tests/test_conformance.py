"""The proof that the device is right: plugrad's conformance kit, as one class."""

from plugrad.testing import Conformance


class TestBanana(Conformance):
    """What the library cannot do goes into `xfails`, ids of checks with the reasons; one that passes after all fails."""

    device = "banana"
