"""Packages that the command line writes: installed by pip, found, and right at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugrad.cli import main, new

from .commands import runner
from .sites import BANANA, fresh_site, plugin


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site with plugrad's own plugin in it."""
    yield from fresh_site(tmp_path, monkeypatch)


@pytest.fixture
def run(site, monkeypatch):
    """Runs a command line over the plugins of the site."""
    return runner(site, monkeypatch)


def installed(package: Path, place: Path) -> dict[str, str]:
    """Install a package that was written with pip, and return an environment that sees it."""
    pytest.importorskip("hatchling")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--target", str(place), str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(place), *filter(None, sys.path)])}


def passes(package: Path, environment: dict[str, str], *options: str) -> str:
    """Run the tests of a package from outside, so that what is installed is what is tested."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(package / "tests"),
        *options,
    ]
    done = subprocess.run(
        command, env=environment, cwd=package.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_shell(environment: dict[str, str], *args: str) -> dict:
    command = [sys.executable, "-W", "error", "-m", "plugrad", *args, "--json"]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


STRICT = ["--namespace", "array_api_strict"]


@pytest.mark.parametrize(("name", "options"), [("metal", []), ("two_words", STRICT)])
def test_new_backend(tmp_path, monkeypatch, capsys, name, options):
    if options:
        pytest.importorskip("array_api_strict")
    monkeypatch.chdir(tmp_path)
    assert main(["new-backend", name, *options]) == 0
    package = tmp_path / f"plugrad-{name.replace('_', '-')}"
    text = capsys.readouterr().out
    assert f"cd {package.name}" in text
    assert f"plugrad_{name}/backend.py" in text
    assert not [p for p in package.rglob("*") if p.is_file() and "anana" in p.read_text() + p.name]
    environment = installed(package, tmp_path / "site")
    assert " passed" in passes(package, environment, *(["-k", "declaration"] if options else []))
    assert {d["device"]: d["state"] for d in in_shell(environment, "devices")["devices"]}[name] == "usable"
    assert in_shell(environment, "doctor")["ok"]


def test_new_backend_as_json(tmp_path, capsys):
    place = tmp_path / "deep" / "place"
    assert main(["new-backend", "metal", "--directory", str(place), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data) == {"directory", "files", "next"}
    assert data["directory"] == str(place)
    assert {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()} == set(data["files"])
    assert "plugrad_metal/backend.py" in data["files"]


def test_a_namespace_brings_its_own_names(tmp_path):
    pytest.importorskip("array_api_strict")
    assert (
        main(["new-backend", "metal", "--namespace", "array_api_strict", "--directory", str(tmp_path / "x")])
        == 0
    )
    assert 'dependencies = ["plugrad", "array_api_strict"]' in (tmp_path / "x/pyproject.toml").read_text()
    source = (tmp_path / "x/plugrad_metal/__init__.py").read_text()
    assert 'array_types=("array_api_strict._array_object:Array",)' in source
    assert "class MetalBackend(ArrayAPIBackend)" in (tmp_path / "x/plugrad_metal/backend.py").read_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("new-backend Foo-Bar", "did you mean 'foo_bar'?"),
        ("new-backend 9", "cannot be the name of a device type: give lower-case letters"),
        ("new-backend class", "cannot be the name of a device type"),
        ("new-backend cpu", "device 'cpu' is reserved for plugrad itself: give it another name"),
        ("new-backend plugins", "a package 'plugrad_plugins' is installed already: give it another name"),
        ("new-backend banana", "plugin 'acme' (acme-plugrad 1.0) offers device 'banana' already: give it another"),
        ("new-backend metal --namespace nowhere", "ModuleNotFoundError: No module named 'nowhere': install the library"),
        ("new-backend metal --namespace os", "AttributeError: module 'os' has no attribute 'asarray'"),
        ("new-backend metal --namespace numpy", "its arrays are NumPy's, which belong to the device 'cpu' already"),
        ("new-backend metal --directory here", "here exists already: remove it, or give another place by --directory"),
        ("new-backend metal --directory here/file/x", "cannot be written: "),
    ],
)  # fmt: skip
def test_what_cannot_be_written(run, site, tmp_path, monkeypatch, capsys, line, message):
    site.stranger("acme", plugin(BANANA))
    work = tmp_path / "work"
    (work / "here").mkdir(parents=True)
    (work / "here/file").write_text("mine")
    monkeypatch.chdir(work)
    assert run(line) == (2, "")
    assert message in capsys.readouterr().err
    assert [p.name for p in work.rglob("*")] == ["here", "file"]


def test_templates_are_complete():
    files = {p.relative_to(new.TEMPLATES).as_posix() for p in new.TEMPLATES.rglob("*") if p.is_file()}
    for layer in ("backend",):
        assert {f"{layer}/pyproject.toml", f"{layer}/README.md"} <= files
