"""Layer 6: what the backend says it can beyond the required, and programs around it: writes, random numbers, threads, fork."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from typing import Any

import numpy as np

import plugrad as torch

from ... import dtypes
from ...backend import for_device
from ...contract import defines
from ...errors import DeviceError
from . import agreement
from .agreement import Disagreement
from .bench import Bench
from .checks import Absent, Check, Skip, collector
from .programs import PROGRAMS, leaf

CHECKS, check = collector("capabilities", "capability")


def program(bench: Bench, run: Any) -> None:
    """A program gives the same tensors on the device and on the CPU."""
    try:
        found, want = run(bench.device), run("cpu")
    except DeviceError as error:
        if "has no kernel for" in str(error):
            raise Absent(f"it needs what is absent: {error}") from error
        raise
    for i, (x, w) in enumerate(zip(found, want, strict=True)):
        what = f"{run.__name__}, result {i}"
        if x.device.backend is not bench.backend or x.dtype is not w.dtype:
            raise Disagreement(f"{what}: found {x.dtype} on {x.device}, expected {w.dtype} on {bench.device}")
        agreement.values(bench.get(x._raw), w.detach().numpy(), what, 1e-5, 1e-6)


CHECKS += [
    Check(
        "capabilities",
        f"capability:{run.__name__.replace('_', '-')}",
        lambda bench, run=run: program(bench, run),
    )
    for run in PROGRAMS
]


# --- dtypes -------------------------------------------------------------------------------------------------


@check("dtypes")
def computing(bench: Bench) -> None:
    """Tensors of every declared dtype add, multiply, compare, are summed and indexed, and stay of their dtype."""
    for dt in sorted(bench.backend.dtypes, key=lambda d: d.name):
        what = f"a program in {dt.name}"
        data = [[True, False, True], [False, False, True]] if dt is dtypes.bool_ else [[1, 2, 3], [4, 0, 6]]
        x = torch.tensor(data, device=bench.device).to(dt)
        y = torch.where(x == x.max() if not dt.is_complex else x == 6, x, x * x) + x[:, :1]
        if y.dtype is not dt:
            raise Disagreement(f"{what}: found {y.dtype}, expected {dt}")
        a = np.array(data).astype(np.float32 if dt.numpy is None else dt.numpy)
        want = np.where(a == a.max(), a, a * a) + a[:, :1]
        agreement.values(_host(bench, y), want, what, 1e-2 if dt.itemsize == 2 else 1e-6)
        total = y.sum(1) if dt is not dtypes.bool_ else y.any(1)
        want = want.sum(1) if dt is not dtypes.bool_ else want.any(1)
        agreement.values(_host(bench, total), want, f"{what}, summed", 1e-2 if dt.itemsize == 2 else 1e-6)
        if dt.is_floating_point:
            z = torch.tensor([0.5, -1.0], device=bench.device).to(dt).requires_grad_()
            (z.exp() * z).sum().backward()
            if z.grad.dtype is not dt:
                raise Disagreement(f"{what}: a gradient of {z.grad.dtype}, expected {dt}")
            want = np.exp([0.5, -1.0]) * np.array([1.5, 0.0])
            agreement.values(
                _host(bench, z.grad), want, f"gradient of {what}", 2e-2 if dt.itemsize == 2 else 1e-5, 1e-2
            )


def _host(bench: Bench, x: Any) -> np.ndarray:
    return bench.get((x.to(torch.float32) if x.dtype is dtypes.bfloat16 else x).detach()._raw)


@check("deterministic-index-add")
def deterministic(bench: Bench) -> None:
    """Where `deterministic_index_add` is true, the same call gives the same bits."""
    b = bench.backend
    if not b.deterministic_index_add:
        raise Skip("deterministic_index_add is false")
    rng = bench.rng("deterministic")
    source = rng.standard_normal(20_000).astype(np.float32) * 10.0 ** rng.integers(-6, 6, 20_000)
    x, s = bench.put(np.zeros(7, np.float32)), bench.put(source.astype(np.float32))
    index = bench.put(bench.fitted(rng.integers(0, 7, 20_000)))
    first = bench.get(b.index_add(x, s, index, 0))
    for _ in range(20 if bench.full else 5):
        agreement.bits(
            bench.get(b.index_add(x, s, index, 0)),
            first,
            "index_add once more, deterministic_index_add is true",
        )


@check()
def elementwise_kernel(bench: Bench) -> None:
    """Where the backend compiles statements, they compute what they say, on arrays that broadcast and in every float dtype."""
    b = bench.backend
    if not defines(b, "elementwise_kernel"):
        raise Skip("the backend compiles no sources of elementwise kernels")
    source = "y = a * x / (1 + exp(-z))"
    kernel = b.elementwise_kernel("kit::swish", source, ("x", "z"), ("a",))
    rng = bench.rng("elementwise_kernel")
    for dt in bench.numpy_dtypes("f"):
        for one, two in (((2, 3), (3,)), ((), (2,)), ((0, 2), (2,)), ((1000,), (1000,))):
            x, z = rng.standard_normal(one).astype(dt), rng.standard_normal(two).astype(dt)
            x, z = np.asarray(x), np.asarray(z)
            want = (1.5 * x.astype("d") / (1 + np.exp(-z.astype("d")))).astype(dt)
            what = f"elementwise_kernel({source!r}) of {agreement.describe(x)} and {agreement.describe(z)}"
            raws = [bench.put(x), bench.put(z)]
            bench.check(kernel(*raws, 1.5), want, what, agreement.RTOL[dt.char], 1e-6)
            bench.unchanged(raws, [x, z], what)


# --- random numbers -----------------------------------------------------------------------------------------


@check("random")
def random_numbers(bench: Bench) -> None:
    """Seeds repeat, differ, and are kept by a state; numbers lie where they should, in the dtype that is asked for."""
    g = torch.Generator(bench.device)
    draws = {
        "rand": lambda: torch.rand(200, device=bench.device, generator=g),
        "randn": lambda: torch.randn(200, device=bench.device, generator=g),
        "randint": lambda: torch.randint(0, 10, (200,), device=bench.device, generator=g),
        "bernoulli": lambda: torch.bernoulli(torch.full((200,), 0.3, device=bench.device), generator=g),
        "randperm": lambda: torch.randperm(200, device=bench.device, generator=g),
    }
    for name, draw in draws.items():
        g.manual_seed(7)
        one, two = _drawn(bench, draw), _drawn(bench, draw)
        g.manual_seed(7)
        agreement.bits(_drawn(bench, draw), one, f"{name} after the same seed")
        state = g.get_state()
        ahead = _drawn(bench, draw)
        agreement.bits(ahead, two, f"{name}, the second draw after the same seed")
        g.set_state(state)
        agreement.bits(_drawn(bench, draw), ahead, f"{name} after set_state")
        g.manual_seed(8)
        if np.array_equal(_drawn(bench, draw), one):
            raise Disagreement(f"{name} draws the same after seed 8 as after seed 7")
        if np.array_equal(one, two):
            raise Disagreement(f"{name} draws the same twice")
    g.manual_seed(3)
    x = _drawn(bench, lambda: torch.rand(20_000, device=bench.device, generator=g))
    if x.min() < 0 or x.max() >= 1 or abs(x.mean() - 0.5) > 0.02 or x.dtype != np.float32:
        raise Disagreement(
            f"rand: found {x.dtype} from {x.min()} to {x.max()}, mean {x.mean()}; expected float32 in [0, 1)"
        )
    x = _drawn(bench, lambda: torch.randn(20_000, device=bench.device, generator=g))
    if abs(x.mean()) > 0.05 or abs(x.std() - 1) > 0.05:
        raise Disagreement(f"randn: found mean {x.mean()} and deviation {x.std()}, expected 0 and 1")


def _drawn(bench: Bench, draw: Any) -> np.ndarray:
    x = draw()
    if x.device.backend is not bench.backend or type(x._raw) is not bench.backend.array_type:
        raise Disagreement(f"random numbers: found a tensor on {x.device}, expected one on {bench.device}")
    return bench.get(x._raw)


@check("philox")
def philox(bench: Bench) -> None:
    """The stream "philox" draws the same on every device: uniform numbers and integers to the bit, normal ones nearly."""
    if not bench.backend.stream("philox", 0):
        raise Skip("the backend has no streams: plugrad draws on the host")
    for seed in (0, 123456789):
        streams = [b.stream("philox", seed) for b in (bench.backend, for_device("cpu"))]
        for shape in ((5,), (3, 7), (1000,)):
            mine, cpus = (s.uniform(shape, np.dtype(np.float32)) for s in streams)
            agreement.bits(
                bench.get(mine), np.asarray(cpus), f"philox, seed {seed}: uniform{shape} beside the CPU's"
            )
            mine, cpus = (s.randint(0, 1000, shape, np.dtype(np.int64)) for s in streams)
            agreement.bits(
                bench.get(mine), np.asarray(cpus), f"philox, seed {seed}: randint{shape} beside the CPU's"
            )
            mine, cpus = (s.normal(shape, np.dtype(np.float32)) for s in streams)
            agreement.values(
                bench.get(mine), np.asarray(cpus), f"philox, seed {seed}: normal{shape}", 1e-5, 1e-6
            )


# --- threads and processes ------------------------------------------------------------------------------------


def small_program(device: str, number: int) -> np.ndarray:
    """Some steps of a small network; what it gives depends on the number."""
    x = leaf(device, (4, 3))
    w = (
        torch.tensor(np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5), device=device) * (1 + number)
    ).requires_grad_()
    for _ in range(3):
        y = torch.tanh(x @ w).sum(1) * (number + 1)
        loss = (y * y).mean() + x.exp().max()
        gw, gx = torch.autograd.grad(loss, [w, x])
        with torch.no_grad():
            w -= 0.1 * gw
            x -= 0.1 * gx
    return np.array(x.detach().cpu().numpy())


@check("threads")
def threads(bench: Bench) -> None:
    """Eight threads at once get what one after the other gets."""
    want = [small_program(bench.device, i) for i in range(8)]
    rounds = 10 if bench.full else 3
    wrong: list[BaseException] = []
    start = threading.Barrier(8)

    def work(i: int) -> None:
        try:
            start.wait()
            for _ in range(rounds):
                found = small_program(bench.device, i)
                agreement.values(found, want[i], f"thread {i} of 8 beside the same program alone", 1e-5, 1e-6)
        except BaseException as error:
            wrong.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # switch wherever the interpreter allows it
    try:
        workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
    finally:
        sys.setswitchinterval(before)
    if wrong:
        raise wrong[0]


@check("fork")
def fork(bench: Bench) -> None:
    """A forked process computes the same, or raises an error that says why it cannot."""
    if not hasattr(os, "fork"):
        raise Skip("this platform has no fork")
    want = small_program(bench.device, 1)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, b"=" + small_program(bench.device, 1).tobytes())
        except BaseException as error:
            os.write(writer, f"!{type(error).__name__}: {error}".encode()[:2000])
        finally:
            os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], 20.0)
        answer = os.read(reader, 65536) if ready else b""
        status = _ended(child)
    finally:
        os.close(reader)
    if not ready:
        raise Disagreement(
            "a forked process hangs: let it compute, or raise an error that says why it cannot"
        )
    if status and not answer:
        raise Disagreement(
            f"a forked process crashes (status {status}): let it raise an error that says why it cannot"
        )
    if answer[:1] == b"!":
        text = answer[1:].decode(errors="replace")
        if text.endswith(": "):
            raise Disagreement(f"a forked process raises {text} without a word: say why it cannot compute")
        return
    found = np.frombuffer(answer[1:], want.dtype).reshape(want.shape)
    agreement.values(found, want, "a forked process beside its parent", 1e-6)


def _ended(child: int) -> int:
    """The exit status of a child, which is killed if it does not end by itself."""
    for _ in range(200):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]
