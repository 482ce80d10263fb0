"""What every test shares."""

from __future__ import annotations

import os
import tempfile

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(tempfile.gettempdir(), "hypothesis"))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path into which a test installs distributions: see `tests.sites`."""
    from tests.sites import fresh_site

    yield from fresh_site(tmp_path, monkeypatch)
