"""The promises on OpenCL: `python tests/benchmarks/opencl.py [DEVICE …]`, e.g. `pocl intel`; without names the first device.

Each device is measured in a process of its own, beside NumPy on the same cores: run alternately, the medians of times and of
ratios told. Nothing else should run meanwhile. NumPy's products use as many threads as the device has units.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

ROUNDS = 15
#: How long NumPy is called in a turn, in seconds: long beside the time in which a processor that slept wakes up.
TURN = 10e-3
#: How often a function is called in a turn, at least.
CALLS = 5
#: Before each turn: the threads of a BLAS spin for up to 150 ms after a product, on a processor that the next one needs.
PAUSE = 0.15
ROWS: list[tuple[str, float, float, float, str]] = []


def seconds(function: Callable[[], Any], number: int = 1, finish: Callable[[], Any] = int) -> float:
    """The time of one call, over `number` of them, and of `finish` after them."""
    start = time.perf_counter()
    for _ in range(number):
        function()
    finish()
    return (time.perf_counter() - start) / number


def rested(pause: float, *turn: Any) -> float:
    """The time of one call, after a pause, from which processors need a while to wake: so the calls are made once before."""
    if pause:
        time.sleep(pause)
        seconds(*turn)
    return seconds(*turn)


def versus(
    name: str,
    ours: Callable[[], Any],
    numpys: Callable[[], Any],
    promise: str,
    finish: Callable[[], Any],
    rounds: int = ROUNDS,
    pause: float = 0,
) -> None:
    """A row of the table: ours, NumPy's, and the ratio of each round's pair, as medians.

    The calls of a turn are all asked for before the device is waited for, as programs do it.
    """
    ours(), finish(), numpys()
    number = max(CALLS, int(TURN / max(seconds(numpys), 1e-7)))
    pairs = [(rested(pause, ours, number, finish), rested(pause, numpys, number)) for _ in range(rounds)]
    ratio = statistics.median(a / b for a, b in pairs)
    a, b = (statistics.median(p[i] for p in pairs) * 1e6 for i in (0, 1))
    ROWS.append((name, a, b, ratio, promise))
    print(f"{name:44} {a:12.1f} {b:12.1f} {ratio:8.2f}   {promise}", flush=True)


def alone(name: str, microseconds: float, promise: str) -> None:
    """A row without a peer."""
    print(f"{name:44} {microseconds:12.1f} {'':12} {'':8}   {promise}", flush=True)


def measure(which: str | None) -> None:
    """All rows of one device."""
    import numpy as np

    import plugrad as torch
    from plugrad.backend import for_device
    from plugrad_backends.opencl import runtimes

    index = runtimes.select(which).index
    device = f"opencl:{index}"
    backend = for_device("opencl", index)
    rng = np.random.default_rng(0)

    def row(*measured: Any, **options: Any) -> None:
        versus(*measured, finish=backend.synchronize, **options)

    def numbers(*shape: int) -> tuple[np.ndarray, Any]:
        x = rng.standard_normal(shape, np.float32)
        return x, backend.from_numpy(x)

    print(f"\n{backend.device}, NumPy {np.__version__}, Python {sys.version.split()[0]}")
    print(f"{'':44} {'ours, µs':>12} {'NumPy, µs':>12} {'ratio':>8}   promise")

    tiny = torch.ones(4, 4, device=device, requires_grad=True)
    tiny * tiny
    each = []
    for _ in range(ROUNDS):
        each.append(seconds(lambda: tiny * tiny, 500))
        backend.synchronize()
    alone("one recorded multiplication, 4×4", statistics.median(each) * 1e6, "at most 15 µs")
    raw = backend.from_numpy(np.ones((4, 4), np.float32))
    each = []
    for _ in range(ROUNDS):
        each.append(seconds(lambda: backend.multiply(raw, raw), 500))
        backend.synchronize()
    alone("its kernel alone", statistics.median(each) * 1e6, "")

    (a, A), (b, B) = numbers(2048, 2048), numbers(2048, 2048)
    row("add, 4M float32", partial(backend.add, A, B), lambda: a + b, "at most 1.0")
    line, Line = b[0], backend.getitem(B, (0,))
    row("add a row", partial(backend.add, A, Line), lambda: a + line, "at most 1.0")
    column, Column = b[:, :1], backend.getitem(B, (slice(None), slice(0, 1)))
    row("add a column", partial(backend.add, A, Column), lambda: a + column, "at most 1.0")
    (wide, Wide) = numbers(2048, 4096)
    step = (slice(None), slice(None, None, 2))
    part, Part = wide[step], backend.getitem(Wide, step)
    row("add of every other column", partial(backend.add, Part, Part), lambda: part + part, "at most 1.0")

    def chain(x: Any, y: Any) -> Any:
        o = torch.ops
        return o.exp(o.sin(x) * y) + o.tanh(x * y) - o.sqrt(x + y)

    p, q = np.abs(a), np.abs(b)
    P, Q = backend.from_numpy(p), backend.from_numpy(q)
    fused = backend.fused("chain", chain, 2)
    limit = "0.25" if "Intel" in backend.device.platform_name else "0.6"
    row(
        "exp(sin(x)*y)+tanh(x*y)-sqrt(x+y), one kernel", partial(fused, P, Q),
        lambda: np.exp(np.sin(p) * q) + np.tanh(p * q) - np.sqrt(p + q), f"at most {limit}", rounds=7,
    )  # fmt: skip

    def cheap(x: Any, y: Any) -> Any:
        return ((x * y + x) * 2.0 - y) * (x + 1.0) + y * 0.5

    row(
        "eight cheap ops, one kernel",
        partial(backend.fused("cheap", cheap, 2), A, B),
        lambda: cheap(a, b),
        "at most 0.2",
        rounds=7,
    )
    for name in ("exp", "sin", "tanh", "log"):
        f = getattr(np, name)
        row(f"{name}, 4M", partial(getattr(backend, name), P), lambda f=f: f(p), "", rounds=7)

    c, C = numbers(2000, 2000)
    for axis in (0, 1):
        row(
            f"sum over axis {axis} of (2000, 2000)",
            partial(backend.sum, C, (axis,), False),
            lambda axis=axis: c.sum(axis),
            "at most 1.0",
        )
        row(
            f"max over axis {axis} of (2000, 2000)",
            partial(backend.max, C, (axis,), False),
            lambda axis=axis: c.max(axis),
            "at most 1.0",
        )
    row("sum of all of (2000, 2000)", partial(backend.sum, C, (0, 1), False), lambda: c.sum(), "at most 1.0")

    s, S = numbers(4000, 1000)

    def softmax() -> Any:
        e = np.exp(s - s.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    row("softmax (4000, 1000)", partial(backend.softmax, S, (1,)), softmax, "at most 0.25")

    g, G = numbers(8192, 256)
    places = rng.integers(0, 10000, 8192)
    table, Table = np.zeros((10000, 256), np.float32), backend.zeros((10000, 256), torch.float32)
    Places = backend.from_numpy(places)

    def add_at() -> None:
        y = table.copy()
        np.add.at(y, places, g)

    row(
        "scatter-add 8192×256 into 10000×256",
        partial(backend.index_add, Table, G, Places, 0),
        add_at,
        "at most 0.2",
    )

    for n in (1024, 512, 256, 128, 64):
        (m, M), (k, K) = numbers(n, n), numbers(n, n)
        promise = {1024: "at most 1.18", 128: "at most 1.43"}.get(n, "")
        row(f"sgemm {n}³", partial(backend.matmul, M, K), lambda m=m, k=k: m @ k, promise, pause=PAUSE)
    (m, M), (k, K) = numbers(64, 64, 64), numbers(64, 64, 64)
    row("sgemm 64 × 64³", partial(backend.matmul, M, K), lambda: m @ k, "at most 1.43", pause=PAUSE)

    import digits

    for batch, promise in ((256, "at most 1.5"), (64, "said")):
        row(
            f"digits epoch, 64–256–10, batch {batch}, Adam",
            epoch(torch, digits, device, batch),
            epoch(torch, digits, "cpu", batch),
            promise,
            rounds=7,
            pause=PAUSE,
        )


def epoch(torch: Any, digits: Any, device: str, batch: int) -> Callable[[], None]:
    """One pass over the digits, without anything asked of the device before its end."""
    (images, labels), _ = digits.load_digits(device)
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)).to(device)
    optimizer, criterion = torch.optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss()

    def run() -> None:
        for start in range(0, len(labels), batch):
            loss = criterion(model(images[start : start + batch]), labels[start : start + batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()

    return run


COLD = """
import time
start = time.perf_counter()
import plugrad as torch
device = {device!r}
torch.ones(1, device=device)
print(f"{{1e3*(time.perf_counter() - start):.0f}} ms: import and context")
import sys
sys.path.insert(0, {examples!r})
sys.path.insert(0, {here!r})
import digits
from plugrad.backend import for_device
(images, labels), _ = digits.load_digits(device)
nn = torch.nn
model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)).to(device)
optimizer, criterion = torch.optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss()
backend = for_device("opencl", torch.device(device).index)
before, start = backend.device.builds, time.perf_counter()
loss = criterion(model(images[:256]), labels[:256])
loss.backward()
optimizer.step()
loss.item()
print(f"{{1e3*(time.perf_counter() - start):.0f}} ms: first step, {{backend.device.builds - before}} kernels")
"""


def cold_start(which: str | None) -> None:
    """Import, context and the first step in new processes: with empty caches of kernels, then with full ones."""
    import tempfile

    from plugrad_backends.opencl import runtimes

    here = os.path.dirname(os.path.abspath(__file__))
    examples = os.path.join(here, "..", "..", "examples")
    code = COLD.format(device=f"opencl:{runtimes.select(which).index}", examples=examples, here=here)
    with tempfile.TemporaryDirectory() as cache:
        for state in ("cold", "warm", "warm"):
            env = {**os.environ, "XDG_CACHE_HOME": cache, "POCL_CACHE_DIR": os.path.join(cache, "pocl")}
            out = subprocess.run(
                [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
            )
            print(f"{state}: {'; '.join(out.stdout.splitlines())}", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples"))
    if len(sys.argv) > 2:
        for name in sys.argv[1:]:
            subprocess.run([sys.executable, __file__, name], check=True)
    else:
        which = sys.argv[1] if len(sys.argv) == 2 else None
        measure(which)
        cold_start(which)
