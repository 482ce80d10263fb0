"""`plugrad ops`: where each device has its kernels from."""

from __future__ import annotations

import pytest

from plugrad.op import OPS

from .commands import BROKEN, backend


def test_ops(run):
    code, data = run("ops --json")
    assert code == 0
    own = {name for name in OPS if "::" not in name}  # other tests may declare some
    assert {op["op"] for op in data["ops"]} == own
    assert all(set(op) == {"op", "kind", "differentiable", "cause", "kernels"} for op in data["ops"])
    found = {op["op"]: op for op in data["ops"]}
    assert found["multiply"] == {
        "op": "multiply", "kind": "elementwise", "differentiable": ["a", "b"], "cause": None, "kernels": {"cpu": "native"},
    }  # fmt: skip
    assert (found["mish"]["kind"], found["mish"]["kernels"]["cpu"]) == ("composite", "composite")
    assert list(data["counts"]["cpu"]) == ["native", "plugin", "composite", "host", "absent"]
    assert sum(data["counts"]["cpu"].values()) == len(own)
    text = run("ops")[1]
    assert text.splitlines()[0].split() == ["OP", "KIND", "GRADIENTS", "FOR", "CPU"]
    assert f"\ncpu: {len(own)} ops, {data['counts']['cpu']['native']} native, " in text


def test_missing_ops(run, site):
    body = "    def kernel_names(self): return [n for n in super().kernel_names() if n not in ('sigmoid', 'imag')]"
    parts = backend("grape", body)
    site.stranger("grape", parts.pop("grape"), **parts)
    code, data = run("ops --json --missing grape")
    assert code == 0
    found = {op["op"]: op["kernels"]["grape"] for op in data["ops"]}
    assert (found["sigmoid"], found["imag"], found["mish"]) == ("composite", "host", "composite")
    assert "exp" not in found
    assert data["counts"]["grape"]["host"] == 1
    text = run("ops --missing grape")[1]
    assert "\nimag " in text
    assert "\nexp " not in text
    assert "1 host" in text
    columns = run("ops")[1].splitlines()[0].split()
    assert columns[-2:] == ["CPU", "GRAPE"]


@pytest.mark.parametrize(
    ("device", "cause"),
    [
        ("kiwi", "needs 'no_such_library', which is not installed"),
        ("durian", "device 'durian' is unknown: plugrad knows 'cpu'"),
        ("cpu:x", "Invalid device string: 'cpu:x'"),
    ],
)
def test_missing_ops_of_a_device_that_cannot_be_asked(run, site, capsys, device, cause):
    site.stranger("needy", BROKEN["needy"])
    assert run(f"ops --missing {device}") == (2, "")
    text = capsys.readouterr().err
    assert text.startswith(f"plugrad: {device!r} cannot be asked: ")
    assert cause in text


ACME_OPS = """
from plugrad.sdk import composite, elementwise
half = elementwise("acme::half", "x", x=lambda g: g / 2, default=lambda x: x / 2)
twice = elementwise("acme::twice", "x", x=lambda g: g * 2, default=lambda x: x + x)
@composite("acme::both")
def both(x):
    return half(twice(x))
def half_on_numpy(x):
    return x / 2
"""


def test_ops_of_plugins(run, site):
    site.stranger("acme", """
from plugrad.plugins import KernelSpec, OpSpec, hookimpl
@hookimpl
def plugrad_ops():
    return [OpSpec(f"acme::{name}", f"acme_ops:{name}") for name in ("half", "twice", "both", "lost")]
@hookimpl
def plugrad_kernels():
    return [KernelSpec("acme::half", "cpu", "acme_ops:half_on_numpy")]
""", acme_ops=ACME_OPS)  # fmt: skip
    code, data = run("ops --json")
    assert code == 0
    found = {op["op"]: op for op in data["ops"]}
    origins = {name: found[f"acme::{name}"]["kernels"]["cpu"] for name in ("half", "twice", "both", "lost")}
    assert origins == {"half": "plugin", "twice": "composite", "both": "composite", "lost": "absent"}
    assert (found["acme::half"]["kind"], found["acme::half"]["differentiable"]) == ("elementwise", ["x"])
    assert "'acme_ops' has no 'lost'" in found["acme::lost"]["cause"]
    text = run("ops --missing cpu")[1]
    assert "acme::lost cannot be loaded: operator 'acme::lost': 'acme_ops' has no 'lost'" in text
    assert "acme::half " not in text


def test_ops_without_a_device(run, monkeypatch):
    monkeypatch.setenv("PLUGRAD_DISABLE_PLUGINS", "builtin")
    data = run("ops --json")[1]
    assert data["counts"] == {}
    assert {op["op"]: op["kernels"] for op in data["ops"]}["exp"] == {}
