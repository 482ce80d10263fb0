"""Command lines in tests: run over the plugins of a site, in this process or in a shell; and plugins that are broken."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from plugrad.cli import main
from plugrad.plugins import targets

from ..sites import plugin

#: Modules of plugins, each broken in its own way.
BROKEN = {
    "raising": "raise OSError('no driver\\non this machine')",
    "exiting": "import sys; sys.exit(3)",
    "listless": "from plugrad.plugins import hookimpl\n@hookimpl\ndef plugrad_backends(): return 3",
    "hookless": "answer = 42",
    "future": plugin('BackendSpec("later", "os:getcwd", api=(9, 0))'),
    "absent": None,
    "loud": plugin('BackendSpec("noisy", "nowhere:X")', before="print('I am loud')"),
    "rival": plugin('BackendSpec("cuda", "os:getcwd")'),
    "one": plugin('BackendSpec("contested", "os:getcwd")'),
    "two": plugin('BackendSpec("contested", "os:getcwd")'),
    "needy": plugin('BackendSpec("kiwi", "nowhere:X", requires=("no_such_library",))'),
}
#: Of a backend that gives wrong numbers.
WRONG = "    def to_numpy(self, raw): return raw.values + 1"


def runner(site, monkeypatch):
    """A function that runs a command line: its exit code and what it wrote, parsed where that is JSON.

    The libraries of devices count as not installed, so that what is found does not depend on the machine.
    """
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    installed = targets._is_installed
    monkeypatch.setattr(targets, "_is_installed", lambda n: n not in ("cupy", "pyopencl") and installed(n))
    monkeypatch.setattr("plugrad.plugins.registry.REGISTRY", site.registry())

    def run(line: str) -> tuple[int, Any]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main(line.split())
        return code, json.loads(out.getvalue()) if "--json" in line else out.getvalue()

    return run


def shell(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process of its own, in which a warning is an error."""
    command = [sys.executable, "-W", "error", "-m", "plugrad", *args]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def backend(name: str, body: str, base: str = "FakeBackend") -> dict[str, str]:
    """The modules of a plugin with one backend, over that of `fake_backend`, for a device of that name."""
    source = f"""
import os, signal, sys, time
sys.path.append({str(Path(__file__).parents[2])!r})
from tests.fake_backend import FakeBackend
class Backend({base}):
    device_type = {name!r}
{body}
"""
    return {name: plugin(f'BackendSpec("{name}", "{name}_backend:Backend")'), f"{name}_backend": source}


def offering(hook: str, *specs: str) -> str:
    """The source of a plugin module that offers these specs by a hook."""
    return f"""
from plugrad.plugins import CheckSpec, CommandSpec, hookimpl
@hookimpl
def {hook}():
    return [{", ".join(specs)}]
"""
