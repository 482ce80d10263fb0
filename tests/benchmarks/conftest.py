"""Benchmarks beside a peer: run alternately in one process, so that a machine's moods hit both alike.

A mood lasts longer than a round, so the ratio is taken in each round, and the median of the ratios is told.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

try:
    import torch as pytorch

    pytorch.set_num_threads(1)
except ImportError:
    pytorch = None

RATIOS: list[tuple[str, str, float, float, float, str]] = []


@pytest.fixture
def peer() -> Any:
    """PyTorch, where it is installed."""
    if pytorch is None:
        pytest.skip("PyTorch is not installed: pip install torch")
    return pytorch


def seconds(function: Callable[[], Any], number: int) -> float:
    """The time of one call, over `number` of them."""
    start = time.perf_counter()
    for _ in range(number):
        function()
    return (time.perf_counter() - start) / number


@pytest.fixture
def versus(request: pytest.FixtureRequest, benchmark: Any) -> Callable[..., float]:
    """`versus(ours, theirs, promise=..., name=...)`: the median of the ratios of alternating rounds."""

    def compare(
        ours: Callable[[], Any],
        theirs: Callable[[], Any],
        *,
        peer: str,
        promise: str,
        number: int,
        rounds: int = 60,
    ) -> float:
        seconds(ours, number), seconds(theirs, number)
        pairs = [(seconds(ours, number), seconds(theirs, number)) for _ in range(rounds)]
        a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        benchmark.extra_info.update(ratio=ratio, peer=peer, peer_seconds=b)
        benchmark.pedantic(ours, rounds=rounds, iterations=number)
        RATIOS.append((request.node.name, peer, a, b, ratio, promise))
        return ratio

    return compare


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if RATIOS:
        terminalreporter.section(
            "plugrad beside its peers (medians of alternating rounds, and of their ratios)"
        )
        for name, peer, ours, theirs, ratio, promise in RATIOS:
            terminalreporter.write_line(
                f"{name:40s} {ours * 1e6:10.2f} µs, {peer}: {theirs * 1e6:10.2f} µs, ratio {ratio:.2f} ({promise})"
            )
