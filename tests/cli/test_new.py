"""Packages that the command line writes: installed by pip, found, and right at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugrad.cli import main, new

from ..sites import BANANA, plugin


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
    assert " passed" in passes(
        package, environment, *(["-k", "declaration or layout or primitives"] if options else [])
    )
    assert {d["device"]: d["state"] for d in in_shell(environment, "devices")["devices"]}[name] == "usable"
    assert in_shell(environment, "doctor")["ok"]


@pytest.mark.parametrize(
    ("name", "library", "op"), [("vision::blur", "vision", "blur"), ("two_words", *["two_words"] * 2)]
)
def test_new_op(tmp_path, monkeypatch, capsys, name, library, op):
    monkeypatch.chdir(tmp_path)
    assert main(["new-op", name]) == 0
    package = tmp_path / f"plugrad-{library.replace('_', '-')}"
    assert f"plugrad plugins show {library}" in capsys.readouterr().out
    words = [p.read_text() + p.name for p in package.rglob("*") if p.is_file()]
    assert not [w for w in words if "fruit" in w or "ripen" in w]
    environment = installed(package, tmp_path / "site")
    assert "1 passed" in passes(package, environment)
    (found,) = [o for o in in_shell(environment, "ops")["ops"] if o["op"].startswith(f"{library}::")]
    assert (found["op"], found["kind"], found["differentiable"]) == (f"{library}::{op}", "elementwise", ["x"])
    assert found["kernels"]["cpu"] == "plugin"
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
        ("new-op Vision::blur", "'Vision' cannot be the name of a library of operators"),
        ("new-op vision::b-lur", "'b-lur' cannot be the name of an operator: give lower-case letters"),
        ("new-op sin", "library 'sin' is plugrad's own: give another, such as 'my_sin::sin'"),
        ("new-op plugins::x", "a package 'plugrad_plugins' is installed already"),
        ("new-op taste::sour", "plugin 'tasting' (tasting-plugrad 1.0) offers operators of 'taste' already"),
        ("new-op vision::blur --directory here", "here exists already: remove it"),
        ("new-backend metal --namespace nowhere", "ModuleNotFoundError: No module named 'nowhere': install the library"),
        ("new-backend metal --namespace os", "AttributeError: module 'os' has no attribute 'asarray'"),
        ("new-backend metal --namespace numpy", "its arrays are NumPy's, which belong to the device 'cpu' already"),
        ("new-backend metal --directory here", "here exists already: remove it, or give another place by --directory"),
        ("new-backend metal --directory here/file/x", "cannot be written: "),
    ],
)  # fmt: skip
def test_what_cannot_be_written(run, site, tmp_path, monkeypatch, capsys, line, message):
    site.stranger("acme", plugin(BANANA))
    site.stranger("tasting", """
from plugrad.plugins import OpSpec, hookimpl
@hookimpl
def plugrad_ops():
    return [OpSpec("taste::sweet", "nowhere:sweet")]
""")  # fmt: skip
    work = tmp_path / "work"
    (work / "here").mkdir(parents=True)
    (work / "here/file").write_text("mine")
    monkeypatch.chdir(work)
    assert run(line) == (2, "")
    assert message in capsys.readouterr().err
    assert [p.name for p in work.rglob("*")] == ["here", "file"]


def test_the_wheel_holds_the_templates():
    """What is no Python counts, too: hatch takes every file of the package that git does not ignore."""
    files = {p.relative_to(new.TEMPLATES).as_posix() for p in new.TEMPLATES.rglob("*") if p.is_file()}
    root = new.TEMPLATES.parents[3]
    if not (root / "pyproject.toml").exists():
        pytest.skip("plugrad runs from where it was installed: these are the files that its wheel held")
    hatch = pytest.importorskip("hatchling.builders.wheel")
    wheel = {f.distribution_path for f in hatch.WheelBuilder(str(root)).recurse_included_files()}
    assert {f"plugrad/cli/templates/{f}" for f in files if "__pycache__" not in f} <= wheel
    assert {"backend/pyproject.toml", "backend/README.md", "op/pyproject.toml", "op/README.md"} <= files
