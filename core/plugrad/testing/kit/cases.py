"""The conformance kit as a class that pytest collects; this module alone of plugrad imports pytest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from .checks import Check
from .engine import TIER_VARIABLE, Session
from .report import BAD, Result
from .suite import select


class Conformance:
    """Subclass it as `TestAcme`, name the device, and run pytest: that is a backend's whole test file.

        from plugrad.testing import Conformance

        class TestAcme(Conformance):
            device = "acme"
            xfails = {"op:cumulative_prod": "the library has no running product"}

    Each check is a test: `pytest -k "primitive:take"`, `pytest -k op:exp`. `xfails` are strict: a check listed there
    that passes is a failure, and each needs a reason. A layer that fails skips what stands on it.
    """

    #: The device, as users write it.
    device: ClassVar[str]
    #: Ids of checks that must fail, and why.
    xfails: ClassVar[Mapping[str, str]] = {}
    #: "quick" or "full"; the environment variable PLUGRAD_CONFORMANCE overrides it.
    tier: ClassVar[str] = "quick"
    #: What the random numbers depend on.
    seed: ClassVar[int] = 0
    #: Import strings, "module:Class", of plugins to register that no installed distribution brings.
    plugins: ClassVar[Sequence[str]] = ()
    #: After how many seconds a check is ended.
    timeout: ClassVar[float] = 60.0
    #: Whether to run also what stands on a layer that failed.
    keep_going: ClassVar[bool] = False

    _session: ClassVar[Session]

    @classmethod
    def setup_class(cls) -> None:
        """Begin the run of this class: one worker process sees one check after the other."""
        if not hasattr(cls, "device"):
            pytest.fail(f'{cls.__qualname__} names no device: write device = "acme" in it', pytrace=False)
        options: dict[str, Any] = {"plugins": cls.plugins, "seed": cls.seed, "timeout": cls.timeout}
        tier = os.environ.get(TIER_VARIABLE) or cls.tier
        cls._session = Session(cls.device, tier, xfails=cls.xfails, keep_going=cls.keep_going, **options)

    @classmethod
    def teardown_class(cls) -> None:
        """End the worker process."""
        cls._session.close()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """A test for each check of the layer."""
        if "conformance_check" in metafunc.fixturenames:
            layer = metafunc.function.__name__.removeprefix("test_")
            found = select(layers=[layer])
            metafunc.parametrize("conformance_check", found, ids=[c.id for c in found])

    def test_declaration(self, conformance_check: Check) -> None:
        """Layer 1: what the backend says about itself."""
        self.verify(conformance_check)

    def test_layout(self, conformance_check: Check) -> None:
        """Layer 2: data go there and back; memory and writes."""
        self.verify(conformance_check)

    def test_primitives(self, conformance_check: Check) -> None:
        """Layer 3: the required kernels against NumPy."""
        self.verify(conformance_check)

    def test_ops(self, conformance_check: Check) -> None:
        """Layer 4: every op of the core, values and derivatives."""
        self.verify(conformance_check)

    def test_models(self, conformance_check: Check) -> None:
        """Layer 5: two small models against stored losses."""
        self.verify(conformance_check)

    def test_capabilities(self, conformance_check: Check) -> None:
        """Layer 6: what the backend offers beyond the required; writes, random numbers, threads, fork."""
        self.verify(conformance_check)

    def verify(self, check: Check) -> None:
        """Run a check, and tell pytest what it came to."""
        __tracebackhide__ = True
        _tell(self._session.run(check))


def _tell(results: list[Result]) -> None:
    """The outcome of a check as pytest's; of several aspects the worst."""
    __tracebackhide__ = True
    bad = [str(r) for r in results if r.status in BAD]
    if bad:
        pytest.fail("\n".join(bad), pytrace=False)
    for status, tell in (("xfailed", pytest.xfail), ("skipped", pytest.skip)):
        found = [r for r in results if r.status == status]
        if found and (status == "xfailed" or len(found) == len(results)):
            tell(found[0].reason)
