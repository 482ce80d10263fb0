"""Lowerings: one node for a composite, on a device that has a kernel of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import ops, plugins
from plugrad.errors import DeviceError, GraphFreedError, OpCheckError
from plugrad.op import OPS
from plugrad.sdk import Lowering, composite
from plugrad.testing import opcheck
from tests import several_devices
from tests.fake_backend import enter

X = [0.5, -1.0, 2.0]
calls: Counter[str] = Counter()


def mish(x: Any) -> Any:
    """The kernel, and what its derivative wants besides."""
    calls["forward"] += 1
    t = ops.tanh(ops.softplus(x))
    return x * t, (t,)


def mish_vjp(g: Any, saved: Any, x: Any) -> Any:
    calls["vjp"] += 1
    (t,) = saved
    return (g * (t + x * (1 - t * t) * ops.sigmoid(x)),)


def attention(q: Any, k: Any, v: Any, mask: Any, scale: float, causal: bool, kept: Any) -> Any:
    calls["attention"] += 1
    if mask is not None:
        return NotImplemented
    weights = ops.softmax(ops.matmul(q * scale, ops.matrix_transpose(k)), (q.ndim - 1,))
    return ops.matmul(weights if kept is None else weights * kept, v)


BOTH, ALONE = Lowering(mish, mish_vjp), staticmethod(lambda x: mish(x)[0])


@pytest.fixture
def lower(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives a device a member, and lets composites look for it anew."""
    calls.clear()

    def lower(name: str, member: Any, device: str = "fusing") -> None:
        monkeypatch.setattr(type(enter(device)), name, member, raising=False)
        OPS[name].kernels.clear()  # type: ignore[union-attr]

    yield lower
    monkeypatch.undo()
    plugins.forget()


def leaf(values: Any, device: str = "fusing") -> Any:
    return torch.tensor(values, device=device, dtype=torch.float64, requires_grad=True)


def derivatives(f: Any, *xs: Any) -> list[np.ndarray]:
    """The value, and the derivatives of the first two orders."""
    y = f(*xs)
    plain = torch.autograd.grad(y.sum(), xs, retain_graph=True)
    first = torch.autograd.grad((y * y).sum(), xs, create_graph=True)
    second = torch.autograd.grad(sum((g * g).sum() for g in first), xs)
    return [t.detach()._host() for t in (y, *plain, *first, *second)]


@pytest.mark.parametrize("member", [BOTH, ALONE], ids=["with a vjp", "forward alone"])
def test_one_node_and_the_derivatives_of_the_body(lower: Any, member: Any) -> None:
    expected = derivatives(ops.mish, leaf(X, "cpu"))
    lower("mish", member)
    x = leaf(X)
    y = ops.mish(x)
    assert y.grad_fn.name() == "MishBackward0" and y.grad_fn.next_functions[0][0] is x._edge
    assert len(str(torch.explain(y)).splitlines()) == 4  # head, the node, the leaf, a sum
    for found, want in zip(derivatives(ops.mish, x), expected, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-12)
    assert calls["vjp"] == (2 if member is BOTH else 0)  # the second order passes the node once more
    y.sum().backward()
    with pytest.raises(GraphFreedError, match=r"MishBackward0 are gone.*retain_graph=True"):
        y.sum().backward()


def test_inputs_that_are_one_tensor_and_arguments_by_name(lower: Any) -> None:
    lower("scaled_dot_product_attention", staticmethod(attention))
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2, 3, 4))

    def program(x: Any) -> Any:
        return ops.scaled_dot_product_attention(x, x * 2, value=x, scale=0.5)

    found, expected = derivatives(program, leaf(values)), derivatives(program, leaf(values, "cpu"))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    assert calls["attention"] == 1
    x = leaf(values)
    y = ops.scaled_dot_product_attention(x.detach(), x, x)
    assert y.grad_fn.name() == "ScaledDotProductAttentionBackward0" and y.grad_fn.edges[0] is None
    mask = torch.zeros(3, 3, device="fusing", dtype=torch.float64)
    assert ops.scaled_dot_product_attention(x, x, x, mask).grad_fn.name() == "WhereBackward0"
    assert calls["attention"] == 3


def test_what_goes_by_the_body(lower: Any) -> None:
    lower("mish", BOTH)
    x = leaf(X)
    double = torch.func.vmap(torch.func.grad(ops.mish))(x.detach())
    _, tangent = torch.func.jvp(ops.mish, (x.detach(),), (torch.ones_like(x),))
    np.testing.assert_allclose(tangent.tolist(), double.tolist())
    with torch.autograd.nan_safe():
        assert ops.mish(x).grad_fn.name() == "MulBackward0"
    packed = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        ops.mish(x).sum().backward()
    with pytest.raises(NotImplementedError, match=r"softplus is not implemented for torch\.int64"):
        ops.mish(torch.tensor([1, 2], device="fusing"))
    assert packed and not calls
    assert ops.mish(leaf(X, "cpu")).grad_fn.name() == "MulBackward0"
    np.testing.assert_allclose(ops.mish(x._raw).values, ops.mish(x).detach()._host())
    assert calls["forward"] == 2


def test_no_grad_and_inference(lower: Any) -> None:
    lower("mish", BOTH)
    lower("scaled_dot_product_attention", staticmethod(attention))
    x = leaf(X)
    with torch.no_grad():
        assert ops.mish(x).grad_fn is None
    with torch.inference_mode():
        y = ops.mish(x)
    assert y.is_inference() and ops.mish(x.detach()).grad_fn is None and calls["forward"] == 3
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved"):
        ops.scaled_dot_product_attention(y[None], x[None], x[None])


def test_writes_leave_what_was_saved(lower: Any) -> None:
    lower("mish", BOTH)
    x = leaf(X)
    for graph in (False, True):
        (expected,) = torch.autograd.grad(ops.mish(x).sum(), x)
        z = x * 1
        y = ops.mish(z)
        z.mul_(100)
        (found,) = torch.autograd.grad(y.sum(), x, create_graph=graph)
        np.testing.assert_allclose(found.tolist(), expected.tolist())


def test_several_outputs(lower: Any, request: pytest.FixtureRequest) -> None:
    @torch.op("t::parts")
    def parts(x: Any) -> Any:
        return ops.sin(x), ops.cos(x)

    request.addfinalizer(lambda: OPS.pop("t::parts"))

    def vjp(g: Any, saved: Any, x: Any) -> Any:
        sin, cos = saved
        return (g[0] * cos - g[1] * sin,)

    def forward(x: Any) -> Any:
        ys = ops.sin(x), ops.cos(x)
        return ys, ys

    backend = type(enter("fusing"))
    setattr(backend, "t::parts", Lowering(forward, vjp))
    request.addfinalizer(lambda: delattr(backend, "t::parts"))
    x = leaf(X)
    sin, cos = parts(x)
    assert sin.grad_fn is cos.grad_fn and sin.grad_fn.name() == "PartsBackward0"
    for y, slope in ((sin, np.cos(X)), (cos, -np.sin(X))):
        np.testing.assert_allclose(torch.autograd.grad(y.sum(), x, retain_graph=True)[0].tolist(), slope)
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        second = torch.autograd.grad(g.sum(), x)[0]
        np.testing.assert_allclose(second.tolist(), -y.detach()._host())


@pytest.mark.parametrize(
    ("vjp", "text"),
    [
        (
            lambda g, saved, x: g,
            r"the lowering of 'mish' returned FusedArray: its vjp must return a tuple of 1",
        ),
        (
            lambda g, saved, x: (ops.sum_(g, (0,), False),),
            r"a cotangent of shape \[\] for input 0 of shape \[3\]",
        ),
    ],
)
def test_errors(lower: Any, vjp: Any, text: str) -> None:
    lower("mish", Lowering(mish, vjp))
    with pytest.raises(RuntimeError, match=text):
        ops.mish(leaf(X)).sum().backward()


def test_a_vjp_that_leaves_an_input_out_is_completed_by_the_body(lower: Any) -> None:
    lower("mish", Lowering(mish, lambda g, saved, x: (None,)))
    x, expected = leaf(X), leaf(X, "cpu")
    for each in (x, expected):
        ops.mish(each).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), expected.grad.tolist())


# --- elementwise composites, which need no lowering where a device makes kernels of functions ------------------


@composite("t::gated", elementwise=True)
def gated(a: Any, b: Any, slope: float = 1.0) -> Any:
    """Of two inputs, one of which counts twice."""
    return a * ops.sigmoid(slope * b) + b


@pytest.mark.parametrize("device", ["fusing", "fusing_constant"])
@pytest.mark.parametrize("name", ["mish", "softsign", "tanhshrink"])
def test_an_elementwise_composite_is_one_kernel(name: str, device: str) -> None:
    fusing: Any = enter(device)
    f, x = OPS[name], leaf(X, device)
    for found, want in zip(derivatives(f, x), derivatives(f, leaf(X, "cpu")), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12)
    fusing.forget()
    y = f(x)
    y.backward(torch.ones_like(x))
    assert y.grad_fn.name() == f"{name.capitalize()}Backward0"
    assert fusing.runs == {name: 1, f"{name}_vjp": 1} and not fusing.op_by_op


def test_an_elementwise_composite_of_several_inputs() -> None:
    fusing: Any = enter("fusing")
    values = [[1.0, 2.0], [3.0, -1.0]], [[0.5, -0.5], [1.5, 2.0]]
    for f, count in ((lambda a, b: gated(a, b, 2.0), 2), (lambda a: gated(a, a), 1)):
        found, want = (derivatives(f, *[leaf(v, d) for v in values[:count]]) for d in ("fusing", "cpu"))
        for x, w in zip(found, want, strict=True):
            np.testing.assert_allclose(x, w, rtol=1e-12)
    fusing.forget()
    a, b = (leaf(v) for v in values)
    assert gated(a, b).grad_fn.name() == "GatedBackward0" and fusing.runs["t_gated"] == 1
    # What broadcasts, and numbers, go by the body.
    assert gated(a, b[0]).grad_fn.name() == gated(2.0, b).grad_fn.name() == "AddBackward0"
    assert torch.func.vmap(gated)(a, b).tolist() == gated(a, b).tolist()


@pytest.mark.parametrize("how", ["lowering", "forward alone", "fused"])
def test_devices_that_share_a_type_of_arrays(lower: Any, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    several_devices.enter()
    asked = []

    def fused(self: Any, name: str, function: Any, inputs: int) -> Any:
        return lambda *args, out=None: asked.append((name, self.index)) or function(*args)

    if how == "fused":
        monkeypatch.setattr(several_devices.SharedBackend, "fused", fused, raising=False)
        OPS["mish"].kernels.clear()
    else:
        lower("mish", BOTH if how == "lowering" else ALONE, "shared")
    x, expected = leaf(X, "shared:1"), leaf(X, "cpu")
    for each in (x, expected):
        ops.mish(each).sum().backward()
    assert ops.mish(x).grad_fn.name() == "MishBackward0" and x.grad.device == x.device
    np.testing.assert_allclose(x.grad.tolist(), expected.grad.tolist(), rtol=1e-12)
    whole = [each for each in asked if each[0].startswith("mish")]
    assert whole == ([("mish", 1), ("mish_vjp", 1), ("mish", 1)] if how == "fused" else [])
    with pytest.raises(DeviceError, match=r"tensors on 'shared:1' and 'shared:0': move one"):
        gated(x, leaf(X, "shared:0"))


# --- the checker ----------------------------------------------------------------------------------------------


def test_opcheck_compares_with_the_body(lower: Any) -> None:
    x = torch.tensor(X)
    enter("minimal")
    assert opcheck(ops.mish, x, device="minimal")["lowering"].status == "inapplicable"
    assert opcheck(ops.mish, x, device="fusing")["lowering"].detail.endswith("by the kernel")
    lower("mish", BOTH)
    report = opcheck(ops.mish, x, device="fusing")
    assert report["lowering"].status == "passed" and report["lowering"].detail.endswith("by the kernel")
    lower("mish", staticmethod(lambda x: NotImplemented))
    assert "by the body" in opcheck(ops.mish, x, device="fusing", only="lowering")["lowering"].detail


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (lambda x: mish(x)[0] * 1.001, r"result: 1\.9459.*, expected 1\.943"),
        (Lowering(mish, lambda g, saved, x: (mish_vjp(g, saved, x)[0] + 1e-3,)), r"derivative of order 1: "),
    ],
)
def test_opcheck_finds_a_kernel_that_is_wrong(lower: Any, member: Any, text: str) -> None:
    lower("mish", member if isinstance(member, Lowering) else staticmethod(member))
    with pytest.raises(OpCheckError, match=text):
        opcheck(ops.mish, torch.tensor(X), device="fusing", only="lowering")


def test_coverage_names_the_kernel(lower: Any) -> None:
    from plugrad import kernels

    device: Any = enter("fusing")
    assert kernels.origin(OPS["mish"], device) == "composite"
    lower("mish", BOTH)
    assert kernels.origin(OPS["mish"], device) == "native"


def test_a_program_of_the_cpu_calls_the_body_itself() -> None:
    import subprocess
    import sys

    program = """
from plugrad.op import OPS
import plugrad
plugrad.ops.mish(plugrad.ones(2))
print(OPS["mish"].call is OPS["mish"].body)
from tests.fake_backend import enter
enter("minimal")
print(OPS["mish"].call is OPS["mish"].body)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
