"""Steps of optimizers for many parameters in few launches, run on the CPU, against plugrad's own on the device "cpu"."""

# ruff: noqa: E402
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")

import plugrad
from plugrad.optim.adam import _adam
from plugrad.optim.sgd import _sgd
from plugrad_backends.cupy.kernels import source as sources
from plugrad_backends.cupy.kernels.launch import Kernels
from plugrad_backends.cupy.kernels.many import Many, generate_many, together
from plugrad_backends.expressions import traced, var

from .arrays import EPSILONS
from .compiled import usage
from .cupy_on_host import empty, on_host
from .host import HostDriver, Memory

SIZES = [1, 5, 0, 2048, 2049, 300] + [3] * 61  # more than one launch
FLAGS = [
    (_sgd, 7, (0.0, 0.1, 0.0, 0.0, 1.0, False, False, False, False), 2),
    (_sgd, 7, (0.1, 0.01, 0.9, 1.0, True, True, True, True), 3),
    (_adam, 12, (0.0, 0.9, 0.1, 0.99, 0.01, 0.1, 1e-3, 0.01, "p", False, False), 4),
    (_adam, 12, (0.1, 0.1, 0.99, 0.01, 0.1, 1e-3, 0.01, "gradient", True, True), 5),
]


def numpy_type(dtype: str) -> Any:
    return pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else np.dtype(dtype)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(("function", "inputs", "rest", "arrays"), FLAGS)
def test_steps_of_many_parameters(
    driver: HostDriver, memory: Memory, launched: list[str], function: Any, inputs: int, rest: Any, arrays: int,
    dtype: str, offset: int,
) -> None:  # fmt: skip
    kernels, kind = Kernels(driver), numpy_type(dtype)
    plugrad.backend.for_device("cpu")  # which computes what is expected
    step = Many(
        lambda: kernels, empty, cupy.ndarray, function.__name__, function, op_by_op=True, inputs=inputs
    )
    rng, calls, expected, shown = np.random.default_rng(0), [], [], []
    for i, n in enumerate(SIZES):
        values = [np.abs(rng.standard_normal(n)).astype(kind) for _ in range(arrays)]
        mine = [memory.array(v, offset if i % 2 else 0) for v in values]
        raws = [on_host(m) for m in mine]
        results = [raws[0], *raws[2:]]
        calls.append((raws, results))
        wide = [v.astype(np.float64) for v in values]
        expected.append(function(*wide, *rest))
        shown.append([mine[0], *mine[2:]])
    assert step.many(calls, rest)
    assert len(launched) == -(-(len(SIZES) - 1) // together(arrays + arrays - 1))
    for found, wanted in zip(shown, expected, strict=True):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(
                a.astype(np.float64), b, rtol=8 * EPSILONS[dtype], atol=8 * EPSILONS[dtype]
            )
    assert step.many(calls, rest) and len({*launched}) == 1, "the next step has a plan"
    sliced = on_host(np.zeros((4, 4), kind))[:, 1]
    assert not step.many([([sliced] * arrays, [sliced] * (arrays - 1))], rest), "not dense"
    odd = on_host(np.zeros(3, np.int16))
    assert not step.many([*calls, ([odd] * arrays, [odd] * (arrays - 1))], rest), "of another dtype"


@pytest.mark.parametrize("arch", [80, 90, 100])
def test_steps_compile_without_spills(request: pytest.FixtureRequest, arch: int) -> None:
    made = []
    for function, _, rest, arrays in FLAGS:
        for dtype in ("float16", "float32", "float64"):
            kind = np.dtype(dtype)
            xs = [var(f"x{i}", kind) for i in range(arrays + len(rest))]
            args = [*xs[:arrays], *[x if type(v) is float else v for x, v in zip(xs[arrays:], rest)]]
            results = traced(function, args, kind)
            numbers = [(f"x{arrays + i}", kind) for i, v in enumerate(rest) if type(v) is float]
            outs = [(f"y{k}", kind) for k in range(len(results))]
            made.append(
                generate_many(
                    function.__name__, results, outs, [(f"x{i}", kind) for i in range(arrays)], numbers
                )[0]
            )
    found = usage(request.config, sources.unit(made), "steps", arch)
    assert len(found) == len(made)
    for symbol, used in found.items():
        assert (used.stack, used.spill_stores, used.spill_loads) == (0, 0, 0), symbol
    for source in made:
        assert sources.size(source.entries["many"].format) <= 4096


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        ("Adam", {}), ("AdamW", {"amsgrad": True}), ("Adam", {"weight_decay": 0.1, "maximize": True}),
    ],
)  # fmt: skip
def test_a_step_of_many_parameters_is_one_launch(
    kernels_device: str, launched: list[str], optimizer: str, options: dict[str, Any]
) -> None:
    """Also where groups differ in a number, which makes a launch for each."""
    values = [np.random.default_rng(i).standard_normal((i, 3)).astype(np.float32) for i in range(1, 9)]
    found = {}
    for where in ("cpu", kernels_device):
        ps = [plugrad.tensor(v).to(where).requires_grad_() for v in values]
        groups = [{"params": ps[:5]}, {"params": ps[5:], "lr": 0.5}]
        steps = getattr(plugrad.optim, optimizer)(groups, **options)
        for _ in range(3):
            for i, p in enumerate(ps):
                p.grad = None if i == 2 else (p.detach() * 0.5 + i)
            launched.clear()
            steps.step()
        found[where] = [p.detach().cpu().numpy() for p in ps]
    assert len(launched) == 2 and all(symbol.endswith("_many") for symbol in launched), launched
    for one, other in zip(found["cpu"], found[kernels_device], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_of_parameters_that_share_memory_do_not_wait_for_each_other(
    kernels_device: str, momentum: float
) -> None:
    """Each sees what the one before wrote, in parameters and in gradients."""
    found = {}
    for where in ("cpu", kernels_device):
        memory, lone = plugrad.ones(12).to(where), plugrad.ones(3).to(where).requires_grad_()
        parts = [memory[:8], memory[4:], memory.reshape(3, 4)]
        ps = [part.detach().requires_grad_() for part in parts] + [lone]
        steps = plugrad.optim.SGD(ps, lr=0.1, momentum=momentum)
        for _ in range(3):
            for i, p in enumerate(ps):
                p.grad = p.detach() * 0 + i + 1
            lone.grad = memory[:3].detach()
            steps.step()
        found[where] = [p.detach().cpu().numpy() for p in (memory, *ps)]
    for one, other in zip(found["cpu"], found[kernels_device], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5)


def test_a_learning_rate_may_be_an_array(kernels_device: str) -> None:
    ps = [plugrad.ones(3).to(kernels_device).requires_grad_() for _ in range(2)]
    for p in ps:
        p.grad = plugrad.ones(3).to(kernels_device)
    plugrad.optim.SGD(ps, lr=np.array(0.25)).step()  # type: ignore[arg-type]
    for p in ps:
        np.testing.assert_array_equal(p.detach().cpu().numpy(), np.full(3, 0.75, np.float32))


def test_a_step_that_fails_while_others_wait_for_it_is_made_once() -> None:
    from plugrad.optim.fused_updates import Waiting

    made: list[str] = []

    class Kernel:
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, *args: Any, out: Any) -> None:
            made.append(self.name)
            if self.name == "fails":
                raise MemoryError

    waiting = Waiting()
    for name in ("first", "fails", "last"):
        waiting[Kernel(name), "float32", 0.1] = [((), ())]
    with pytest.raises(MemoryError):
        waiting.make()
    waiting.make()  # as `step` does at the end
    assert made == ["first", "fails", "last"]
