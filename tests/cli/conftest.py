"""What the tests of commands share: a site of plugins, a runner over it, and every sort of broken plugin."""

from __future__ import annotations

import pytest

from ..sites import fresh_site
from .commands import BROKEN, runner


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site with plugrad's own plugin in it."""
    yield from fresh_site(tmp_path, monkeypatch)


@pytest.fixture
def run(site, monkeypatch):
    """Runs a command line over the plugins of the site."""
    return runner(site, monkeypatch)


@pytest.fixture
def broken(site):
    """Every sort of broken plugin, installed."""
    for name, source in BROKEN.items():
        if source is None:
            site.install(f"{name}-plugrad", f"{name} = {name}")
        else:
            site.stranger(name, source)
    return site
