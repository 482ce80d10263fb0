"""A device with nothing but the required members computes every op, and differentiates it, as the CPU does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import kernels
from plugrad.contract import REQUIRED
from plugrad.errors import DeviceError
from plugrad.op import OPS, Op
from plugrad.testing.rows import Row, Sample
from tests.fake_backend import enter
from tests.test_ops import CALLS, arrays_of, as_tensors, call, leaves, outputs

MINIMAL = enter("minimal")
#: What takes complex numbers, and views of other dtypes: a device that has those defines them itself.
ABSENT = {"imag", "complex", "bitcast"}


def test_every_op_has_a_composite_over_the_required_members() -> None:
    origins = {
        name: kernels.find(op, MINIMAL)[1]
        for name, op in OPS.items()
        if isinstance(op, Op) and "::" not in name
    }
    other_names = {"select", "whole", "newaxis", "unsafe_view"}  # of getitem and reshape
    native = {name for name, origin in origins.items() if origin == "native"}
    assert native - other_names == set(OPS) & set(REQUIRED)
    assert {name for name, origin in origins.items() if origin == "host"} == ABSENT


def there(value: Any) -> Any:
    """Arrays and tensors on the device, also inside sequences."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(there, value))
    if isinstance(value, torch.Tensor):
        return value.detach().to("minimal").requires_grad_(value.requires_grad)
    return MINIMAL.from_numpy(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize(("row", "sample"), CALLS)
def test_values_and_derivatives(row: Row, sample: Sample) -> None:
    if row.op in ABSENT:
        pytest.skip("not of the required members")
    moved = Sample(sample.args, {k: there(v) for k, v in sample.params.items()})
    for dtype in row.dtypes.replace(" ", ""):
        arrays = arrays_of(sample, dtype)
        flat = [e for a in arrays for e in (a if isinstance(a, list) else [a])]
        if dtype in "FD" or any(map(np.iscomplexobj, flat)):
            continue
        grad = row.grad and dtype == "d"
        on_cpu = as_tensors(arrays, grad)
        on_device = there(on_cpu)
        expected, found = outputs(call(row, on_cpu, sample)), outputs(call(row, on_device, moved))
        compare(found, expected, dtype)
        if not grad:
            continue
        with_grad = [i for i, y in enumerate(expected) if y.requires_grad]
        seeds = [torch.from_numpy(np.cos(np.arange(y.numel())).reshape(y.shape)) for y in expected]
        wanted = [leaves(values) for values in (on_cpu, on_device)]
        for order in (1, 2):
            grads = [
                torch.autograd.grad(
                    [ys[i] for i in with_grad],
                    xs,
                    [gs[i].to(ys[i].device).to(ys[i].dtype) for i in with_grad],
                    create_graph=order == 1 and row.second,
                    allow_unused=True,
                    materialize_grads=True,
                )
                for ys, xs, gs in zip((expected, found), wanted, (seeds, seeds))
            ]
            compare(grads[1], grads[0], "d")
            expected, found = [[y for y in ys if y.requires_grad] for ys in grads]
            if not expected or not row.second:
                break
            with_grad = list(range(len(expected)))
            seeds = [torch.from_numpy(np.sin(np.arange(y.numel())).reshape(y.shape)) for y in expected]


def compare(found: Any, expected: Any, dtype: str) -> None:
    tolerance = {"e": 4e-3, "f": 2e-5, "F": 2e-5}.get(dtype, 1e-9)
    for y, want in zip(found, expected, strict=True):
        assert y.device.type == "minimal" and y.dtype is want.dtype and y.shape == want.shape
        np.testing.assert_allclose(y.detach()._host(), want.detach().numpy(), tolerance, tolerance)


def test_extreme_values() -> None:
    inf = float("inf")

    def calculate(device: str) -> list[torch.Tensor]:
        least = torch.tensor([-128, 100, -7], dtype=torch.int8, device=device)
        x = torch.tensor([inf, -inf, 5.0, -7.5], device=device)
        rows = torch.tensor([[inf, 1.0, 2.0], [-inf, -inf, -inf], [-inf, 0.0, 0.0]], device=device)
        return [
            *(torch.fmod(least, n) for n in (7, -7, -128)),
            *(torch.div(least, n, rounding_mode="trunc") for n in (3, -7, -128)),
            torch.fmod(x[:, None], x),
            torch.acosh(torch.tensor([-2.0, -88.0, -1e4, -1e8, -inf, 0.5, 1.0, inf], device=device)),
            torch.softmax(rows, 1),
            torch.log_softmax(rows, 1),
        ]

    for found, expected in zip(calculate("minimal"), calculate("cpu"), strict=True):
        np.testing.assert_array_equal(found.tolist(), expected.tolist())


def test_a_number_is_sorted_on_every_device() -> None:
    x = torch.tensor(2.5, device="minimal", requires_grad=True)
    for values, indices in (x.sort(), x.topk(1), x.median(0), x.kthvalue(1)):
        assert (values.item(), values.shape, indices.item()) == (2.5, (), 0)
    x.sort()[0].backward()
    assert x.grad.item() == 1.0


# --- the host, only where it is allowed ---------------------------------------------------------------------


def test_the_host_computes_only_where_it_is_allowed() -> None:
    x = torch.ones(2, dtype=torch.float64, device="minimal")
    bitcast = OPS["bitcast"]
    with pytest.raises(
        DeviceError, match=r"'minimal' has no kernel for 'bitcast': plugrad.fallback\('warn'\)"
    ):
        bitcast.call(x, torch.int64)
    kernels.fallbacks.clear()
    with torch.fallback("warn"), pytest.warns(UserWarning, match="'bitcast' runs on the host"):
        assert bitcast.call(x, torch.int64).tolist() == [4607182418800017408] * 2
    with torch.fallback("allow"):
        bitcast.call(x, torch.int64)
    assert kernels.fallbacks == {("minimal", "bitcast"): 2}
    with pytest.raises(DeviceError):
        bitcast.call(x, torch.int64)
    with pytest.raises(ValueError, match=r"fallback: found 'maybe': give \"error\", \"warn\" or \"allow\""):
        torch.fallback("maybe")


# --- from one device to another -----------------------------------------------------------------------------


def test_gradients_come_back_from_another_device() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = x.to("minimal")
    assert y.device.type == "minimal" and y.grad_fn.name() == "ToCopyBackward0"
    z = (y * y * y).to("cpu", torch.float32)
    assert z.dtype is torch.float32 and z.device.type == "cpu"
    (g,) = torch.autograd.grad(z.sum(), x, create_graph=True)
    assert g.tolist() == [3.0, 12.0] and g.device.type == "cpu" and g.dtype is torch.float64
    g.sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]
    assert torch.func.jvp(lambda t: t.to("minimal").sin().cpu(), (x.detach(),), (torch.ones(2).double(),))[
        1
    ].tolist() == (pytest.approx(np.cos([1.0, 2.0])))
    batched = torch.func.vmap(lambda t: (t.to("minimal") * 2).cpu())(x.detach())
    assert batched.tolist() == [2.0, 4.0]
    assert x.detach().to("cpu", copy=True).data_ptr() != x.data_ptr()


def test_a_dtype_that_one_of_the_devices_lacks() -> None:
    z = torch.tensor([1.0 + 2.0j])
    with pytest.raises(
        DeviceError, match=r"to\('minimal'\): the device has no complex64: convert to another dtype"
    ):
        z.to("minimal")
    assert torch.ones(2, device="minimal").to("cpu", torch.complex64).dtype is torch.complex64


@pytest.mark.parametrize("device", ["cpu", "minimal"])
def test_a_weight_of_0_does_not_hide_a_loss_that_is_not_finite(device: str) -> None:
    logs = torch.tensor([[0.0, -np.inf], [0.0, np.nan], [0.0, 1.0], [0.0, np.nan]], device=device)
    target, weight = torch.tensor([1, 1, 1, -100], device=device), torch.tensor([1.0, 0.0], device=device)
    losses = torch.nn.functional.nll_loss(logs, target, weight, reduction="none")
    np.testing.assert_array_equal(losses.tolist(), [np.nan, np.nan, 0.0, 0.0])
