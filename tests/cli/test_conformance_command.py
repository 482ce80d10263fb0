"""`plugrad conformance`: the conformance kit from the shell."""

from __future__ import annotations

import pytest

from plugrad.plugins import BackendSpec, hookimpl, register

from .commands import WRONG, backend


def test_conformance_of_a_sound_device(run, tmp_path):
    page = tmp_path / "cpu.md"
    code, text = run(f"conformance cpu --only declaration:* --only primitive:exp --markdown {page}")
    assert code == 0
    assert text.splitlines()[0].split() == ["LAYER", "PASSED"]
    assert "cpu, quick tier: " in text
    assert text.endswith(f"\nThe report is in {page}.\n")
    assert page.read_text().startswith("# Conformance of `cpu`")


def test_conformance_as_json(run):
    code, data = run("conformance cpu --json --only primitive:exp --seed 3")
    assert code == 0
    assert {"device", "tier", "seed", "ok", "counts", "results", "coverage"} <= set(data)
    assert (data["device"], data["tier"], data["seed"], data["ok"]) == ("cpu", "quick", 3, True)
    assert data["results"][0]["id"] == "primitive:exp"


def test_the_full_tier(run, monkeypatch):
    monkeypatch.delenv("PLUGRAD_CONFORMANCE", raising=False)
    assert run("conformance cpu --full --json --only primitive:exp")[1]["tier"] == "full"


def test_conformance_of_a_wrong_device(run, site):
    parts = backend("grape", WRONG)
    site.stranger("grape", parts.pop("grape"), **parts)
    code, text = run("conformance grape --only layout:round-trip-float32 --only primitive:exp")
    assert code == 1
    assert "\nfailed: layout:round-trip-float32: " in text
    assert "\n  reproduce: python" in text
    assert " failed" in text.splitlines()[-1]


def test_conformance_of_a_device_that_only_this_process_knows(run):
    class Plugin:
        @hookimpl
        def plugrad_backends(self):
            return [BackendSpec("fake", "tests.fake_backend:FakeBackend")]

    register(Plugin())
    code, data = run("conformance fake --json --only primitive:exp")
    assert (code, data["counts"]) == (0, {"passed": 1})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("conformance durian", "device 'durian' is unknown: plugrad knows 'cpu'"),
        ("conformance cpu:x", "Invalid device string: 'cpu:x'"),
        ("conformance cpu --only primitive:expp", "no check is called 'primitive:expp': did you mean"),
        ("conformance cpu --only primitive:exp --markdown /nowhere/x.md", "the report cannot be written: "),
    ],
)
def test_conformance_that_cannot_be_asked(run, capsys, line, message):
    assert run(line) == (2, "")
    assert message in capsys.readouterr().err
