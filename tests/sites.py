"""Distributions with plugins for tests: installed into a folder on the path, and read by a registry of their own."""

import importlib
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from plugrad.errors import DeviceError, PluginError
from plugrad.plugins import Registry

BANANA = 'BackendSpec("banana", "acme_backend:Banana", array_types=("acme_arrays:Array",))'


def plugin(*specs: str, before: str = "") -> str:
    """The source of a plugin module that offers these backends."""
    return f"""
from plugrad.plugins import BackendSpec, hookimpl
{before}
@hookimpl
def plugrad_backends():
    return [{", ".join(specs)}]
"""


class Site:
    """A folder on the path, into which tests install distributions, and a registry that sees only those."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[str] = []

    def install(self, name: str, entries: str, version: str = "1.0", **modules: str) -> None:
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[plugrad]\n{entries}\n")
        for module, source in modules.items():
            (self.folder / f"{module}.py").write_text(source)
        importlib.invalidate_caches()

    def stranger(self, module: str, source: str, **modules: str) -> None:
        """A distribution, a plugin and a module that share a name (but for the distribution's suffix)."""
        self.install(f"{module}-plugrad", f"{module} = {module}", **{module: source}, **modules)

    def _found(self, own: bool) -> list[metadata.Distribution]:
        self.calls.append("own" if own else "others")
        found = metadata.distributions(path=[str(self.folder)])
        return sorted((d for d in found if (d.name == "plugrad") == own), key=lambda d: d.name)

    def registry(self) -> Registry:
        return Registry(own=lambda: self._found(True), others=lambda: self._found(False))


def fresh_site(tmp_path, monkeypatch):
    """Yield a site with plugrad's own plugin in it, in an environment that disables nothing."""
    monkeypatch.delenv("PLUGRAD_PLUGINS", raising=False)
    monkeypatch.delenv("PLUGRAD_DISABLE_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    site = Site(tmp_path)
    site.install("plugrad", "builtin = plugrad_backends", version="0.1.0")
    yield site
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def message_of(call, *args) -> str:
    with pytest.raises((DeviceError, PluginError)) as raised:
        call(*args)
    return str(raised.value)


def run(site, code: str, **environment: str) -> str:
    path = os.pathsep.join([str(site.folder), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
