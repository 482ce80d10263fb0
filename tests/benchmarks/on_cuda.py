"""Everything that is to be measured on a GPU, in one command: `python tests/benchmarks/on_cuda.py`.

Writes `docs/benchmarks/cuda-NAME.md`: versions, the device's ceilings, and each line beside PyTorch eager where that is
installed. Both work in one process, on the same buffers (DLPack) and the same stream, in alternating rounds; the medians are
told, and the floor is what the bytes take at the ceiling that was measured in the same run. `--dry` runs every line small,
on the CPU, to prove that the script works; its page goes to the given `--out` only.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plugrad
from plugrad import sdk

try:
    import torch as pytorch
except ImportError:
    pytorch = None

ROOT = Path(__file__).parents[2]
F = plugrad.nn.functional


class Bench:
    """A device, its clock, and the rows of the report."""

    def __init__(self, device: str, dry: bool, rounds: int) -> None:
        self.device, self.dry, self.rounds = device, dry, rounds
        self.gpu = device.startswith("cuda")
        self.rows: list[tuple[str, ...]] = []
        self.failed: list[str] = []
        self.copied = self.multiplied = 0.0  # ceilings: bytes and operations a second

    def size(self, full: int, small: int) -> int:
        """A size, or a small one in a dry run."""
        return small if self.dry else full

    def wait(self) -> None:
        """Until the device has done all."""
        if self.gpu:
            plugrad.cuda.synchronize()

    def one(self, call: Callable[[], Any], number: int) -> tuple[float, float]:
        """Seconds on the host until `number` calls were issued, and on the device until they were done, a call."""
        if self.gpu:
            begin, end = (plugrad.cuda.Event(enable_timing=True) for _ in range(2))
            self.wait()
            begin.record()
            start = time.perf_counter()
            for _ in range(number):
                call()
            host = time.perf_counter() - start
            end.record()
            end.synchronize()
            return host / number, begin.elapsed_time(end) / 1e3 / number
        start = time.perf_counter()
        for _ in range(number):
            call()
        host = time.perf_counter() - start
        return host / number, host / number

    def beside(
        self, ours: Callable[[], Any], theirs: Callable[[], Any] | None, number: int
    ) -> list[tuple[float, float]]:
        """The medians of (host, device) seconds of ours, and of theirs, in alternating rounds after a warm-up."""
        calls = [ours] if theirs is None or pytorch is None else [ours, theirs]
        for call in calls:
            for _ in range(3):
                call()
        found: list[list[tuple[float, float]]] = [[] for _ in calls]
        for _ in range(self.rounds):
            for call, times in zip(calls, found):
                times.append(self.one(call, number))
        return [tuple(map(statistics.median, zip(*times))) for times in found]  # type: ignore[misc]

    def row(
        self, name: str, ours: Callable[[], Any], theirs: Callable[[], Any] | None = None, *, floor: float | None = None,
        promise: str = "", by: str = "device", number: int = 10,
    ) -> None:  # fmt: skip
        """Measure a line; `by` says which of the times is compared, that of the host or the device."""
        times = self.beside(ours, theirs, self.size(number, 1))
        which = 0 if by == "host" else 1
        own = times[0][which]
        other = times[1][which] if len(times) > 1 else None
        self.rows.append(
            (
                name, by, _time(own), "–" if other is None else _time(other), "–" if other is None else f"{own / other:.2f}",
                "–" if floor is None else _time(floor), "–" if not floor else f"{own / floor:.2f}", promise,
            )
        )  # fmt: skip
        print(" | ".join(self.rows[-1]), flush=True)

    def theirs(self, x: Any) -> Any:
        """A tensor of PyTorch's on the same memory."""
        assert pytorch is not None
        return pytorch.from_dlpack(x.detach())


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.2f} µs"


# --- the lines ------------------------------------------------------------------------------------------------------


def ceilings(b: Bench) -> None:
    """What the device can: bytes copied, operations of products in bfloat16 or float32."""
    n = b.size(1 << 28, 1 << 16)
    x = plugrad.rand(n, device=b.device)
    y = plugrad.empty(n, device=b.device)
    (_, seconds), *_ = b.beside(lambda: y.copy_(x), None, b.size(10, 1))
    b.copied = 2 * x.nbytes / seconds
    b.rows.append(
        (
            "copy",
            "device",
            f"{b.copied / 1e9:.0f} GB/s",
            "–",
            "–",
            "–",
            "–",
            "the floor of all that moves bytes",
        )
    )
    m = b.size(8192, 64)
    a = plugrad.rand(m, m, device=b.device)
    (_, seconds), *_ = b.beside(lambda: a @ a, None, b.size(5, 1))
    b.multiplied = 2 * m**3 / seconds
    b.rows.append(
        (f"matmul {m}³ float32", "device", f"{b.multiplied / 1e12:.2f} TFLOP/s", "–", "–", "–", "–", "")
    )


def host_cost(b: Bench) -> None:
    """What one op costs on the host, recorded: at most 1.5 × PyTorch's."""
    ops: list[tuple[str, Callable[[Any, Any], Any]]] = [
        ("add", lambda x, y: x + y), ("mul", lambda x, y: x * y), ("exp", lambda x, y: x.exp()), ("relu", lambda x, y: x.relu()),
        ("sum", lambda x, y: x.sum()), ("matmul", lambda x, y: x @ y), ("softmax", lambda x, y: x.softmax(-1)),
        ("reshape", lambda x, y: x.reshape(-1)), ("getitem", lambda x, y: x[1:3]),
    ]  # fmt: skip
    x, y = (plugrad.rand(64, 64, device=b.device).requires_grad_() for _ in range(2))
    p, q = (b.theirs(t).requires_grad_() for t in (x, y)) if pytorch else (None, None)
    for name, op in ops:
        b.row(
            f"{name}, 64×64, recorded",
            lambda op=op: op(x, y),
            lambda op=op: op(p, q),
            by="host",
            number=200,
            promise="≤ 1.5 × PyTorch's",
        )  # type: ignore[misc]


def mlp_step(b: Bench) -> None:
    """The 64×1000–100–10 training step."""

    def step(lib: Any, data: Any, labels: Any) -> Callable[[], None]:
        lib.manual_seed(0)
        net = lib.nn.Sequential(lib.nn.Linear(1000, 100), lib.nn.ReLU(), lib.nn.Linear(100, 10)).to(b.device)
        optimizer = lib.optim.SGD(net.parameters(), lr=0.01)

        def run() -> None:
            optimizer.zero_grad()
            lib.nn.functional.cross_entropy(net(data), labels).backward()
            optimizer.step()

        return run

    x = plugrad.rand(64, 1000, device=b.device)
    labels = plugrad.randint(0, 10, (64,), device=b.device)
    theirs = step(pytorch, b.theirs(x), b.theirs(labels)) if pytorch else None
    b.row("step of 64×1000–100–10, SGD", step(plugrad, x, labels), theirs, number=50)
    b.row("the same, on the host", step(plugrad, x, labels), theirs, by="host", number=50)


@sdk.composite("on_cuda::chain", elementwise=True)
def _chain(x: Any) -> Any:
    """Ten ops of one operand; a device that fuses makes one kernel of them, and one of their derivative."""
    for _ in range(2):
        x = plugrad.tanh(plugrad.exp(-(x * 0.5 + 0.1)))
    return x


def chain(b: Bench) -> None:
    """Ten ops on 64 Mi float32, forward and backward: op by op, and as one operator."""
    x = plugrad.rand(b.size(1 << 26, 1 << 12), device=b.device).requires_grad_()

    def run(lib: Any, x: Any) -> None:
        y = x
        for _ in range(2):
            y = lib.tanh(lib.exp(-(y * 0.5 + 0.1)))
        y.backward(y.detach())
        x.grad = None

    def run_fused(x: Any) -> None:
        y = _chain(x)
        y.backward(y.detach())
        x.grad = None

    p = b.theirs(x).requires_grad_() if pytorch else None
    floor = 5 * x.nbytes / b.copied if b.copied else None  # x, y; y, g, dx
    name = "chain of 10 ops, 64 Mi float32, forward and backward"
    b.row(f"{name}, op by op", lambda: run(plugrad, x), lambda: run(pytorch, p), floor=floor, number=5)
    promise = "≤ 1.2 × floor"
    b.row(
        f"{name}, as one operator",
        lambda: run_fused(x),
        lambda: run(pytorch, p),
        floor=floor,
        promise=promise,
        number=5,
    )


def rows(b: Bench) -> None:
    """Softmax and layer norm of 65536×1024, forward and backward."""
    n, c = b.size(65536, 8), b.size(1024, 16)
    x, g = plugrad.rand(n, c, device=b.device).requires_grad_(), plugrad.rand(n, c, device=b.device)
    p, h = (b.theirs(x).requires_grad_(), b.theirs(g)) if pytorch else (None, None)

    def run(lib: Any, function: Callable[[Any, Any], Any], x: Any, g: Any) -> None:
        function(lib, x).backward(g)
        x.grad = None

    functions: dict[str, Callable[[Any, Any], Any]] = {
        "softmax": lambda lib, x: lib.softmax(x, -1),
        "log_softmax": lambda lib, x: lib.log_softmax(x, -1),
        "layer norm": lambda lib, x: lib.nn.functional.layer_norm(x, (c,)),
    }
    labels = plugrad.randint(0, c, (n,), device=b.device)
    known = b.theirs(labels) if pytorch else None

    def classes(lib: Any, x: Any, labels: Any) -> None:
        lib.nn.functional.cross_entropy(x, labels).backward()
        x.grad = None

    b.row(
        f"cross entropy {n}×{c}, forward and backward", lambda: classes(plugrad, x, labels), lambda: classes(pytorch, p, known),
        floor=3 * x.nbytes / b.copied if b.copied else None, promise="≤ 1.2 × floor",
    )  # fmt: skip
    for name, function in functions.items():
        with plugrad.no_grad():
            floor = 2 * x.nbytes / b.copied if b.copied else None
            b.row(
                f"{name} {n}×{c}, forward",
                lambda f=function: f(plugrad, x.detach()),
                lambda f=function: f(pytorch, p.detach()),
                floor=floor,
                promise="≤ 1.2 × floor",
            )  # type: ignore[misc]
        floor = 5 * x.nbytes / b.copied if b.copied else None
        b.row(
            f"{name} {n}×{c}, forward and backward",
            lambda f=function: run(plugrad, f, x, g),
            lambda f=function: run(pytorch, f, p, h),
            floor=floor,
            promise="≤ 1.2 × floor",
        )  # type: ignore[misc]


def big_mlp(b: Bench) -> None:
    """An 8192×4096–16384–4096 MLP, forward and backward, in bfloat16, TF32 and float32."""
    n, wide, hidden = b.size(8192, 8), b.size(4096, 16), b.size(16384, 32)

    def step(lib: Any, dtype: str, x: Any, weights: list[Any]) -> Callable[[], None]:
        def run() -> None:
            y = lib.nn.functional.gelu(x @ weights[0]) @ weights[1]
            y.backward(y.detach())
            for w in weights:
                w.grad = None

        return run

    for name, dtype, tf32 in (
        ("bfloat16", "bfloat16", False),
        ("TF32", "float32", True),
        ("float32", "float32", False),
    ):
        with attempt(b, f"MLP in {name}"), allowing_tf32(tf32):
            kind = getattr(plugrad, dtype)
            x, *w = (
                plugrad.randn(*s, device=b.device).mul_(0.02).to(kind)
                for s in ((n, wide), (wide, hidden), (hidden, wide))
            )
            weights = [t.requires_grad_() for t in w]
            theirs = None
            if pytorch:
                theirs = step(pytorch, dtype, b.theirs(x), [b.theirs(t).requires_grad_() for t in weights])
            b.row(
                f"MLP {n}×{wide}–{hidden}–{wide}, {name}",
                step(plugrad, dtype, x, weights),
                theirs,
                promise="≤ 1.05 × PyTorch's",
                number=3,
            )


def convolution(b: Bench) -> None:
    """A 3×3 convolution of 32×256×56×56, forward and backward, by plugrad's own kernels and by cuDNN."""
    n, c, size = b.size(32, 2), b.size(256, 4), b.size(56, 6)

    def run(lib: Any, x: Any, w: Any, g: Any) -> None:
        lib.nn.functional.conv2d(x, w, padding=1).backward(g)
        x.grad = w.grad = None

    for name, dtype, tf32 in (
        ("bfloat16", "bfloat16", False),
        ("TF32", "float32", True),
        ("float32", "float32", False),
    ):
        kind = "float32" if b.dry else dtype  # NumPy has no bfloat16
        shapes = (n, c, size, size), (c, c, 3, 3), (n, c, size, size)
        x, w, g = (plugrad.rand(*s, device=b.device).to(getattr(plugrad, kind)) for s in shapes)
        theirs = [b.theirs(t) for t in (x, w, g)] if pytorch else []
        for t in (x, w, *theirs[:2]):
            t.requires_grad_()
        for by, switch in (("own path", "0"), ("cuDNN", "1")):
            line = f"conv2d 3×3 of {n}×{c}×{size}×{size}, {name}, {by}"
            with attempt(b, line), allowing_tf32(tf32), environment("PLUGRAD_CUDNN", switch):
                refused = _refused()
                run(plugrad, x, w, g)  # which makes the plans
                remark = "" if by != "cuDNN" else f"plans that cuDNN refused: {_refused() - refused} of 3"
                if by == "cuDNN" and importlib.util.find_spec("cudnn") is None:
                    remark = "not installed: the own path again"
                b.row(
                    line, lambda a=(x, w, g): run(plugrad, *a), lambda a=theirs: run(pytorch, *a), promise=remark, number=5
                )  # type: ignore[misc]  # fmt: skip


def _refused() -> int:
    """How often cuDNN had no plan so far."""
    cudnn = sys.modules.get("plugrad_backends.cupy.kernels.cudnn")
    return len(cudnn.REFUSED) if cudnn else 0


@contextlib.contextmanager
def environment(name: str, value: str) -> Any:
    """A variable of the environment, for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def allowing_tf32(allowed: bool) -> Any:
    """Products and convolutions of float32 in TF32, in both libraries."""
    if pytorch:
        pytorch.backends.cuda.matmul.allow_tf32 = pytorch.backends.cudnn.allow_tf32 = allowed
    with environment("PLUGRAD_TF32", str(int(allowed))):
        yield


def conformance(b: Bench) -> None:
    """The kit's full tier."""
    command = [sys.executable, "-m", "plugrad", "conformance", b.device, *([] if b.dry else ["--full"])]
    _ran(
        b,
        "conformance kit" + (", primitives" if b.dry else ", full tier"),
        [*command, *(["--only", "primitive:add"] if b.dry else [])],
    )


def digits(b: Bench) -> None:
    """The example learns on the device."""
    _ran(
        b,
        "digits example",
        [sys.executable, "examples/digits.py", "--device", b.device, "--epochs", str(b.size(40, 1))],
    )


def optimizers(b: Bench) -> None:
    """A step of AdamW for 100 parameters, on the host and the device."""

    def step(lib: Any, given: list[Any]) -> Callable[[], Any]:
        for p in given:
            p.grad = p.detach().clone()
        return lib.optim.AdamW(given).step  # type: ignore[no-any-return]

    ours = [plugrad.rand(64, 64, device=b.device) for _ in range(b.size(100, 4))]
    theirs = [b.theirs(p).clone().requires_grad_() for p in ours] if pytorch else []
    steps = step(plugrad, [p.requires_grad_() for p in ours]), step(pytorch, theirs) if pytorch else None
    for by in ("host", "device"):
        b.row("AdamW of 100 parameters of 64×64", *steps, by=by, number=20)


def no_hidden_synchronization(b: Bench) -> None:
    """A training step in which the host never waits: the mode that raises where it would."""
    if not b.gpu:
        return
    x, net = plugrad.rand(8, 16, device=b.device), plugrad.nn.Linear(16, 4).to(b.device)
    labels, optimizer = plugrad.randint(0, 4, (8,), device=b.device), plugrad.optim.Adam(net.parameters())
    for mode in (0, "error"):
        plugrad.cuda.set_sync_debug_mode(mode)
        try:
            optimizer.zero_grad()
            F.cross_entropy(net(x), labels).backward()
            optimizer.step()
        finally:
            plugrad.cuda.set_sync_debug_mode(0)
    b.rows.append(("a training step without a wait of the host", "", "passed", "", "", "", "", "none"))


def out_of_memory(b: Bench) -> None:
    """Too large an array raises OutOfMemoryError, and the process goes on."""
    if not b.gpu:
        return
    try:
        plugrad.empty(1 << 50, device=b.device)
    except plugrad.cuda.OutOfMemoryError as error:
        assert plugrad.ones(3, device=b.device).sum().item() == 3
        b.rows.append(("out of memory", "", "passed", "", "", "", "", str(error).splitlines()[0][:100]))
        return
    raise AssertionError("2**50 elements were allocated")


def _ran(b: Bench, name: str, command: list[str]) -> None:
    start = time.perf_counter()
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    last = (ran.stdout.strip().splitlines() or [""])[-1]
    b.rows.append(
        (
            name,
            "",
            "passed" if ran.returncode == 0 else "FAILED",
            "",
            "",
            "",
            "",
            f"{time.perf_counter() - start:.0f} s; {last[:100]}",
        )
    )
    if ran.returncode:
        b.failed.append(f"{name}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}")


LINES = (
    ceilings,
    host_cost,
    mlp_step,
    chain,
    rows,
    big_mlp,
    convolution,
    optimizers,
    no_hidden_synchronization,
    out_of_memory,
    digits,
    conformance,
)


@contextlib.contextmanager
def attempt(b: Bench, name: str) -> Any:
    """A line that fails is reported, and the others run."""
    try:
        yield
    except Exception as error:
        b.rows.append(
            (
                name,
                "",
                "FAILED",
                "",
                "",
                "",
                "",
                f"{type(error).__name__}: {str(error).splitlines()[0][:100]}",
            )
        )
        b.failed.append(f"{name}\n{traceback.format_exc()}")
        print(b.rows[-1], flush=True)


def versions(b: Bench) -> list[str]:
    """What was measured with."""
    import numpy

    found = {"plugrad": plugrad.__version__, "Python": platform.python_version(), "NumPy": numpy.__version__}
    if pytorch:
        found["PyTorch"] = pytorch.__version__
    if b.gpu:
        import cupy

        found["CuPy"] = cupy.__version__
        found["driver, runtime"] = (
            f"{cupy.cuda.runtime.driverGetVersion()}, {cupy.cuda.runtime.runtimeGetVersion()}"
        )
        found["device"] = plugrad.cuda.get_device_name()
    return [f"{name} {version}" for name, version in found.items()]


def page(b: Bench, command: str) -> str:
    """The report."""
    head = ("line", "time of", "plugrad", "PyTorch", "ratio", "floor", "over it", "promised, or remark")
    lines = [
        f"# {'A dry run' if b.dry else 'Measured'} on {b.device}", "",
        f"Made by `{command}` on {time.strftime('%Y-%m-%d')}: {'; '.join(versions(b))}.", "",
    ]  # fmt: skip
    if b.dry:
        lines += ["Sizes are tiny and times mean nothing: it shows that each line can be run.", ""]
    lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in b.rows]
    for failure in b.failed:
        lines += ["", "```text", failure.strip(), "```"]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run all lines and write the page; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="the device (cuda)")
    parser.add_argument("--dry", action="store_true", help="every line, small, on the CPU")
    parser.add_argument("--rounds", type=int, default=30, help="rounds a line (30)")
    parser.add_argument("--only", nargs="*", choices=[line.__name__ for line in LINES], help="these lines")
    parser.add_argument("--out", type=Path, help="where the page goes (docs/benchmarks/cuda-NAME.md)")
    args = parser.parse_args(arguments)
    b = Bench("cpu" if args.dry else args.device, args.dry, 2 if args.dry else args.rounds)
    with contextlib.ExitStack() as stack:
        if b.gpu and pytorch and pytorch.cuda.is_available():
            import cupy

            shared = cupy.cuda.Stream.from_external(pytorch.cuda.current_stream())
            stack.enter_context(shared)
        for line in LINES:
            if not args.only or line.__name__ in args.only:
                with attempt(b, line.__name__):
                    line(b)
    text = page(b, "python tests/benchmarks/on_cuda.py" + (" --dry" if args.dry else ""))
    out = args.out
    if out is None and not args.dry:
        name = (
            plugrad.cuda.get_device_name().lower().replace(" ", "-").replace("/", "-") if b.gpu else b.device
        )
        out = ROOT / "docs" / "benchmarks" / f"cuda-{name}.md"
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    print(text)
    return 1 if b.failed else 0


if __name__ == "__main__":
    sys.exit(main())
