"""`plugrad doctor`: what is wrong is found, and the cure is told."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest

import plugrad
import plugrad_backends
from plugrad.cli import doctor
from plugrad.plugins import Registry

from .commands import backend, offering


def test_doctor_of_a_sound_installation(run):
    code, data = run("doctor --json")
    assert (code, data["ok"]) == (0, True)
    assert all(set(check) == {"status", "check", "found", "cure"} for check in data["checks"])
    assert {c["status"] for c in data["checks"]} <= {"ok", "note"}
    code, text = run("doctor")
    assert code == 0
    assert text.endswith("\nEverything is well.\n")
    assert run("plugins doctor")[0] == 0


def test_doctor_finds_what_is_broken(run, broken):
    code, data = run("doctor --json")
    assert (code, data["ok"]) == (1, False)
    found = {c["check"]: c for c in data["checks"]}
    failures = {c["check"] for c in data["checks"] if c["status"] == "failure"}
    assert failures == {
        "plugin raising", "plugin exiting", "plugin listless", "plugin hookless", "plugin absent", "plugin future",
        "device 'contested'", "device noisy",
    }  # fmt: skip
    assert all(c["cure"] for c in data["checks"] if c["status"] in ("warning", "failure"))
    assert found["plugin rival"]["status"] == "warning"
    assert found["device kiwi"]["status"] == "note"
    assert "PLUGRAD_DISABLE_PLUGINS=two" in found["device 'contested'"]["cure"]
    code, text = run("doctor")
    assert (
        "cure: upgrade, repair or uninstall raising-plugrad, or set PLUGRAD_DISABLE_PLUGINS=raising" in text
    )
    assert "failures, 1 warning." in text


def test_doctor_reads_the_environment(run, monkeypatch):
    monkeypatch.setenv("PLUGRAD_DISABLE_PLUGINS", "nobody,builtin")
    monkeypatch.setenv("PLUGRAD_DISABLED_PLUGINS", "x")
    code, data = run("doctor --json")
    assert code == 1
    found = [(c["status"], c["found"]) for c in data["checks"] if c["check"] == "environment"]
    assert [status for status, _ in found] == ["warning", "note", "warning"]
    texts = " | ".join(c["found"] + str(c["cure"]) for c in data["checks"])
    assert (
        "PLUGRAD_DISABLED_PLUGINS is not a variable that plugrad readsrename it to PLUGRAD_DISABLE_PLUGINS"
        in texts
    )
    assert "names 'nobody', but no plugin is called so" in texts
    assert "no plugin offers it, and nothing works without it" in texts


def test_doctor_knows_every_variable_that_plugrad_reads():
    core, backends = Path(plugrad.__file__).parent, Path(plugrad_backends.__file__).parent
    sources = [p.read_text() for p in core.rglob("*.py") if "cli" not in p.relative_to(core).parts]
    sources += [p.read_text() for p in backends.rglob("*.py")]
    assert set(re.findall(r"\bPLUGRAD_[A-Z_0-9]+", "".join(sources))) == set(doctor.VARIABLES)


@pytest.mark.parametrize(
    ("device", "status", "found"),
    [
        ("cpu", "ok", "cpu"),
        ("auto", "ok", "cpu"),
        ("cuda:1", "failure", "'cuda:1' cannot be used"),
        ("nonsense", "failure", "'nonsense' cannot be used"),
    ],
)
def test_doctor_tries_the_default_device(run, monkeypatch, device, status, found):
    monkeypatch.setenv("PLUGRAD_DEFAULT_DEVICE", device)
    code, data = run("doctor --json")
    assert code == (status == "failure")
    checks = {c["check"]: c for c in data["checks"]}
    assert (checks["default device"]["status"], checks["default device"]["found"]) == (status, found)
    assert checks["device cpu"]["status"] == "ok"


def test_doctor_without_an_installed_distribution(run, monkeypatch):
    monkeypatch.setattr("plugrad.plugins.loader.own_distributions", list)
    monkeypatch.setattr("plugrad.plugins.registry.REGISTRY", Registry(own=list, others=list))
    code, text = run("doctor")
    assert code == 1
    assert "is not installed as a distribution" in text
    assert "No plugin was found" in run("plugins list")[1]


@pytest.mark.parametrize(
    ("source", "status", "found"),
    [
        ("return 'driver 12.3'", "ok", "driver 12.3"),
        (
            "raise RuntimeError('driver 9 is too old: upgrade it')",
            "failure",
            "driver 9 is too old: upgrade it",
        ),
        ("return 1 / 0", "failure", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "failure", "SystemExit: 3"),
        ("return None", "warning", "returned None"),
    ],
)
def test_doctor_makes_the_checks_of_plugins(run, site, source, status, found):
    site.stranger("acme", offering("plugrad_doctor_checks", 'CheckSpec("driver version", "acme_checks:driver")'),
                  acme_checks=f"def driver(): {source}")  # fmt: skip
    code, data = run("doctor --json")
    assert code == (status == "failure")
    (check,) = [c for c in data["checks"] if c["check"] == "acme: driver version"]
    assert (check["status"], check["found"]) == (status, found)
    assert (check["cure"] is None) == (status == "ok")


def test_doctor_tells_what_runs_on_the_host(run, site, monkeypatch):
    body = "    def kernel_names(self): return [n for n in super().kernel_names() if n != 'imag']"
    parts = backend("grape", body)
    site.stranger("grape", parts.pop("grape"), **parts)
    monkeypatch.setattr("plugrad.kernels.fallbacks", Counter({("grape", "imag"): 2}))
    code, data = run("doctor --json")
    assert code == 0
    notes = [c["found"] for c in data["checks"] if c["status"] == "note"]
    lacks = "has no kernel for 1 op; plugrad.fallback lets the host compute 1 of them: `plugrad ops --missing grape`"
    assert f"{lacks} names them" in notes
    assert "this process computed 'imag' of device 'grape' on the host 2 times" in notes


def test_strict_plugins_do_not_hinder_the_doctor(run, broken, monkeypatch):
    monkeypatch.setenv("PLUGRAD_STRICT_PLUGINS", "1")
    code, data = run("doctor --json")
    assert code == 1
    found = {c["check"]: c for c in data["checks"]}
    assert found["environment"]["found"].startswith(
        "PLUGRAD_STRICT_PLUGINS=1: unless it is 0, a plugin that fails"
    )
    assert found["device cpu"]["status"] == "ok"
    assert os.environ["PLUGRAD_STRICT_PLUGINS"] == "1"
