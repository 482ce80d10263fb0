"""`plugrad devices` and `plugrad backends`: each device is tried, and none can break the command."""

from __future__ import annotations

import sys
from argparse import Namespace

import pytest

from plugrad.cli import devices, doctor, probe
from plugrad.plugins import BackendSpec, Registry, hookimpl

from .commands import WRONG, backend

DEVICE_KEYS = {
    "device", "state", "cause", "plugin", "distribution", "version", "target", "requires", "array_types", "class",
    "array_type", "dtypes", "capabilities", "members", "import_seconds", "gradient_seconds",
}  # fmt: skip


def test_devices(run, broken):
    code, data = run("devices --json")
    assert code == 0
    assert all(set(d) == DEVICE_KEYS for d in data["devices"])
    found = {d["device"]: d for d in data["devices"]}
    assert found["cpu"]["state"] == "usable"
    assert found["cpu"]["gradient_seconds"] > 0
    assert found["later"]["state"] == "incompatible"
    assert (found["noisy"]["state"], found["kiwi"]["state"]) == ("broken", "not installed")
    assert "there is no module 'nowhere', which its plugin names" in found["noisy"]["cause"]
    assert "needs 'no_such_library', which is not installed" in found["kiwi"]["cause"]
    assert found["contested"]["state"] == "broken"
    assert "is offered by plugin 'one'" in found["contested"]["cause"]
    assert sum(d["device"] == "contested" for d in data["devices"]) == 2

    code, text = run("devices")
    assert (code, text.splitlines()[0].split()[:2]) == (0, ["DEVICE", "STATE"])
    assert "5 plugins that are not loaded may offer more" in text


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("    os.kill(os.getpid(), signal.SIGSEGV)", "its process was killed by SIGSEGV"),
        ("    print('bye', file=sys.stderr); os._exit(7)", "its process ended with exit code 7: bye"),
        ("    raise SystemExit('no GPU')", "importing 'grape_backend' failed: SystemExit: no GPU"),
        ("    def __init__(self, index): raise OSError('no GPU')", "OSError: no GPU"),
        ("    def from_numpy(self, array): raise MemoryError('full')", "MemoryError: full"),
        (WRONG, "the gradient of (x * x).sum() at [1, 2, 3] is [3.0, 5.0, 7.0] instead of [2, 4, 6]"),
    ],
)  # fmt: skip
def test_a_backend_that_breaks_when_it_is_tried(run, site, body, cause):
    parts = backend("grape", body)
    site.stranger("grape", parts.pop("grape"), **parts)
    (found,) = [d for d in run("devices --json")[1]["devices"] if d["device"] == "grape"]
    assert found["state"] == "broken"
    assert cause in found["cause"]


def test_a_device_type_with_several_devices(run, site):
    body = "    @classmethod\n    def devices(cls): return ['grape:0 = Big', 'grape:1 = Small']"
    parts = backend("grape", body)
    site.stranger("grape", parts.pop("grape"), **parts)
    answer = devices.list_devices(Namespace())
    entries = {d["device"]: d["members"] for d in answer.data["devices"]}
    assert (entries["cpu"], entries["grape"]) == ([], ["grape:0 = Big", "grape:1 = Small"])
    assert str(answer.text[1]).endswith("\ngrape:0 = Big\ngrape:1 = Small")
    checks = [f for f in doctor.devices(answer.data["devices"]) if f.check == "device grape"]
    assert [f.found for f in checks if f.status == "note"] == ["grape:0 = Big", "grape:1 = Small"]


def test_a_backend_that_hangs(run, site, monkeypatch):
    monkeypatch.setattr(probe, "TIMEOUT", 2)
    parts = backend("grape", "    time.sleep(60)")
    site.stranger("grape", parts.pop("grape"), **parts)
    (found,) = [d for d in run("devices --json")[1]["devices"] if d["device"] == "grape"]
    assert found["cause"] == "it did not answer within 2 seconds"


def test_what_a_library_prints_does_not_spoil_the_answer(run, site):
    parts = backend("grape", "    os.write(1, b'{}')", base="object")
    site.stranger("grape", parts.pop("grape"), **parts)
    (found,) = [d for d in run("devices --json")[1]["devices"] if d["device"] == "grape"]
    assert "which is no subclass of Backend" in found["cause"]


def test_devices_registered_by_hand_are_tried_in_this_process(run, site, monkeypatch):
    registry: Registry = sys.modules["plugrad.plugins.registry"].REGISTRY

    class Plugin:
        @hookimpl
        def plugrad_backends(self):
            return [BackendSpec("plum", "os:getcwd")]

    registry.register(Plugin())
    tried = []
    answers = {"probe": lambda device: tried.append(device) or {"device": device, "cause": "sour"}}
    monkeypatch.setattr(probe, "QUESTIONS", answers)
    (found,) = [d for d in run("devices --json")[1]["devices"] if d["device"] == "plum"]
    assert (found["cause"], found["distribution"], found["version"], tried) == (
        "sour",
        "registered by hand",
        None,
        ["plum"],
    )


def test_backends(run, site):
    code, data = run("backends --json")
    assert code == 0
    cpu = data["backends"][0]
    assert (cpu["class"], cpu["array_type"]) == (
        "plugrad_backends.numpy.backend:NumPyBackend",
        "numpy:ndarray",
    )
    assert "float64" in cpu["dtypes"]
    assert "bfloat16" not in cpu["dtypes"]
    text = run("backends")[1]
    assert "all but bfloat16" in text
    assert "plugrad_backends.cupy:CuPyBackend" in text
