"""The snippets of docs/opencl.md run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import backend_of

PAGE = (Path(__file__).parents[2] / "docs" / "opencl.md").read_text(encoding="utf-8")
SNIPPETS = [
    s for s in re.findall(r"```python\n(.*?)```", PAGE, re.S) if ">>>" not in s
]  # those run as doctests


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippet(number, monkeypatch, capsys):
    backend = backend_of("pocl")
    monkeypatch.setenv("PLUGRAD_OPENCL_DEVICE", "pocl")
    source = SNIPPETS[number].replace("opencl:0", f"opencl:{backend.index}")
    exec(compile(source, f"docs/opencl.md, snippet {number}", "exec"), {})
