"""Composites and formulas of elementwise ops as one kernel each, on a device that has `fused`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import codegen, kernels
from plugrad.op import OPS, Op
from plugrad.testing.rows import Row, Sample
from tests.fake_backend import enter
from tests.test_ops import CALLS, arrays_of, as_tensors, call, leaves, outputs

F = torch.nn.functional


@pytest.fixture
def fusing() -> Any:
    device: Any = enter("fusing")
    device.forget()
    return device


def moved(value: Any, device: str) -> Any:
    """Tensors on the device, also inside sequences."""
    if isinstance(value, (list, tuple)):
        return type(value)(moved(v, device) for v in value)
    if isinstance(value, torch.Tensor):
        return value.detach().to(device).requires_grad_(value.requires_grad)
    return value


ELEMENTWISE = [
    c
    for c in CALLS
    if getattr(OPS.get(c.values[0].op), "kind", "") == "elementwise"
    and c.values[0].op not in ("imag", "complex")
]


@pytest.mark.parametrize(("row", "sample"), ELEMENTWISE)
def test_every_elementwise_op_and_its_formulas(fusing: Any, row: Row, sample: Sample) -> None:
    enter("minimal")
    arrays = arrays_of(sample, "d" if "d" in row.dtypes else row.dtypes[0])
    if any(map(np.iscomplexobj, arrays)):
        pytest.skip("the devices have no complex numbers")
    on_cpu = as_tensors(arrays, row.grad)
    found = []
    for device in ("minimal", "fusing"):
        xs = moved(on_cpu, device)
        ys = outputs(call(row, xs, sample))
        grads: Any = []
        if row.grad:
            grads = torch.autograd.grad([y.sum() for y in ys], leaves(xs), allow_unused=True)
        found.append([t if t is None else t._host() for t in (*(y.detach() for y in ys), *grads)])
    for op_by_op, fused in zip(*found, strict=True):
        np.testing.assert_array_equal(fused, op_by_op)


def test_one_kernel_of_a_composite_and_one_of_a_formula(fusing: Any) -> None:
    x = torch.tensor([0.5, -1.0], device="fusing", requires_grad=True)
    for _ in range(3):
        F.silu(F.elu(x, 0.5)).sum().backward()
    runs = {
        name: count
        for name, count in fusing.runs.items()
        if name in ("elu", "silu", "elu_vjp_x", "silu_vjp_x")
    }
    assert (
        runs
        == {"elu": 3, "silu": 3, "elu_vjp_x": 3, "silu_vjp_x": 3}
        == {n: 3 * fusing.traced[n] for n in runs}
    )
    assert kernels.find(OPS["silu"], fusing)[1] == kernels.find(OPS["elu"], fusing)[1] == "composite"


def test_what_looks_at_values_is_computed_op_by_op(fusing: Any) -> None:
    x = torch.tensor([7, -7], device="fusing")
    assert torch.fmod(x, x - 3).tolist() == [3, -7] and fusing.op_by_op["fmod"] == 1
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        torch.fmod(x, x * 0)


def test_what_is_no_function_of_elements_is_not_fused(fusing: Any) -> None:
    x = torch.tensor([[0.5, -1.0]], device="fusing", requires_grad=True)
    (x.softmax(1) * 2).t().sum().backward()
    assert not fusing.asked.keys() & {"softmax", "softmax_vjp_x", "multiply_vjp_a", "permute_dims"}


def test_a_backend_that_cannot_fuse_loses_nothing(fusing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *args: Any) -> Any:
        raise ArithmeticError("too long")

    for answer in (broken, lambda self, *args: None):
        monkeypatch.setattr(type(fusing), "fused", answer)
        fused = Op(
            "t_fused", "x", {"x": lambda g, y: g * (y + 1)}, kind="elementwise", default=lambda x: x * x + 1
        )
        try:
            x = torch.tensor([2.0], device="fusing", requires_grad=True)
            y = fused.call(x)
            y.backward()
            assert (y.item(), x.grad.item()) == (5.0, 6.0)
        finally:
            del OPS["t_fused"]


def test_formulas_of_nodes_that_were_there_before(fusing: Any) -> None:
    """What a CPU program has generated is exchanged when a device that fuses comes; by type, so the CPU has its own."""
    plain = codegen.on_raw_arrays(OPS["tanh"].saves.formulas["x"].fn)
    codegen.fuse_formulas(OPS["tanh"], namespace := {"r0": plain})
    assert namespace["r0"] is not plain
    x = np.array([0.5])
    assert namespace["r0"](x, x) == plain(x, x) and not fusing.asked
    raw = fusing.from_numpy(x)
    assert namespace["r0"](raw, raw).values == plain(x, x) and fusing.runs["tanh_vjp_x"] == 1


def test_a_program_of_the_cpu_pays_nothing() -> None:
    """Without such a device the generated backward names the formula itself."""
    import subprocess
    import sys

    program = """
import plugrad as torch
from plugrad.op import OPS
x = torch.tensor([0.5], requires_grad=True)
x.tanh().backward()
formula = lambda: OPS["tanh"].node.backward.__globals__["r0"]
print(formula().__code__ is OPS["tanh"].formulas["x"].__code__)
from tests.fake_backend import enter
enter("minimal")
print(formula().__code__ is OPS["tanh"].formulas["x"].__code__)
enter("fusing")
print(formula().__code__ is OPS["tanh"].formulas["x"].__code__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"]


def test_a_member_that_computes_a_formula(fusing: Any) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4))
    found = []
    for device in ("cpu", "fusing"):
        t = torch.tensor(x, device=device, requires_grad=True)
        y = F.softmax(t, 1)[:, 0].sum()
        (first,) = torch.autograd.grad(y, t, retain_graph=True)
        runs = fusing.runs["softmax_vjp_x"]
        (g,) = torch.autograd.grad(y, t, create_graph=True)
        (second,) = torch.autograd.grad(g[:, 1].sum(), t)
        found.append([first._host(), second._host()])
    assert runs == 1
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-12)
