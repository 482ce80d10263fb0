"""The conformance kit finds faults: each backend of `faulty_backends` fails, in the check that one expects."""

from __future__ import annotations

from functools import cache

import pytest

from plugrad.testing import Report, conformance
from plugrad.testing.kit.checks import LAYERS
from plugrad.testing.kit.suite import checks
from tests.faulty_backends import FAULTS

PLUGINS = ["tests.fake_backend:FakePlugin", "tests.faulty_backends:FaultyPlugin"]
#: Layers that are quick enough to be run whole for each fault.
WHOLE = LAYERS[:3]
EXPECTED = {name for _, _, names in FAULTS.values() for name in names}
CRASHES = {
    "faulty_aborts": "SIGABRT",
    "faulty_segfaults": "SIGSEGV",
    "faulty_hangs": "no answer within 3 seconds",
}


def check_of(name: str) -> str:
    """The id of the check that a result belongs to."""
    return next(c.id for c in checks().values() if name in map(c.result_id, c.aspects))


def layer_of(name: str) -> str:
    return checks()[check_of(name)].layer


@cache
def sound(device: str) -> Report:
    """The report of a backend without a fault on all checks that find one."""
    return conformance(device, "quick", only=sorted(map(check_of, EXPECTED)), plugins=PLUGINS)


@pytest.mark.parametrize("device", FAULTS)
def test_a_fault_is_found_where_one_expects_it(device: str) -> None:
    _, base, names = FAULTS[device]
    layer = layer_of(names[0])
    below = WHOLE[: WHOLE.index(layer) + 1] if layer in WHOLE else ()
    only = [c.id for c in checks().values() if c.layer in below] or sorted({check_of(n) for n in names})
    report = conformance(
        device, "quick", only=only, plugins=PLUGINS, timeout=3.0 if "hangs" in device else 60.0
    )
    failed = [r.id for r in report.failures]
    assert not report.ok and set(names) <= set(failed), report.counts
    assert {r.layer for r in report.failures} == {layer}  # what is below it passes, what is above is skipped
    for r in report.failures:
        assert r.reason and f"-m plugrad.testing {device} " in r.reproduce and "--seed 0" in r.reproduce
    if device in CRASHES:
        crash = next(r for r in report.failures if r.id == names[0])
        assert crash.status == "crashed" and CRASHES[device] in crash.reason
        assert "faulty_backends.py" in crash.detail  # where it happened
    passed = {r.id for r in sound(base).results if r.status == "passed"}
    assert set(names) <= passed, "the backend without the fault must pass"


def test_there_are_enough_faults_in_every_layer() -> None:
    assert len(FAULTS) >= 50
    assert {layer_of(name) for name in EXPECTED} == set(LAYERS)
