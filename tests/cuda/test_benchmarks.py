"""The script that measures everything on a GPU runs to its end, small, on the CPU."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "on_cuda.py"


@cache
def script() -> Any:
    spec = importlib.util.spec_from_file_location("benchmarks_of_cuda", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_line_runs(tmp_path: Path) -> None:
    made = script()
    lines = [line.__name__ for line in made.LINES if line.__name__ not in ("digits", "conformance")]
    out = tmp_path / "page.md"
    made.main(["--dry", "--out", str(out), "--only", *lines])
    page = out.read_text()
    failed = [line for line in page.splitlines() if "FAILED" in line]
    assert all("bfloat16" in line for line in failed), page  # NumPy has none
    for found in (
        "copy",
        "softmax 8×16, forward and backward",
        "matmul, 64×64, recorded",
        "MLP 8×16–32–16, float32",
        "chain of 10 ops, 64 Mi float32, forward and backward, as one operator",
    ):
        assert found in page


def test_every_line_runs_on_the_double(cuda: str, monkeypatch: Any) -> None:
    """With events, streams and modes of waiting, as on a GPU."""
    made = script()
    monkeypatch.setattr(made, "pytorch", None)
    b = made.Bench(cuda, True, 1)
    for line in made.LINES:
        if line.__name__ not in ("digits", "conformance"):
            with made.attempt(b, line.__name__):
                line(b)
    failed = [row[0] for row in b.rows if "FAILED" in row]
    assert failed in ([], ["MLP in bfloat16"]), (
        b.failed
    )  # NumPy's products with a number are of float64 there
    passed = [row[0] for row in b.rows if "passed" in row]
    assert passed == ["a training step without a wait of the host", "out of memory"]
    assert len(b.rows) > 25


def test_a_line_that_fails_is_told_and_the_others_run(tmp_path: Path, monkeypatch: Any) -> None:
    made = script()

    def broken(b: Any) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(made, "LINES", (broken, made.ceilings))
    out = tmp_path / "page.md"
    assert made.main(["--dry", "--out", str(out)]) == 1
    assert "| broken |  | FAILED |" in out.read_text() and "no such thing" in out.read_text()
    assert "matmul 64³" in out.read_text()
