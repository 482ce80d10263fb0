"""Command lines in tests: run in this process, over the plugins of a site."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from plugrad.cli import main


def runner(site, monkeypatch):
    """A function that runs a command line: its exit code and what it wrote, parsed where that is JSON."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr("plugrad.plugins.registry.REGISTRY", site.registry())

    def run(line: str) -> tuple[int, Any]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main(line.split())
        return code, json.loads(out.getvalue()) if "--json" in line else out.getvalue()

    return run
