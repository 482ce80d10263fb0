"""Programs on arrays that have what the contract asks for and nothing else: no conversion to NumPy, no truth, no length.

What core takes for granted about arrays beyond the contract shows here as an error. "fake" has a kernel for nearly every op and
views of memory; "minimal" has the required kernels alone, and arrays that are never written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.nn import functional as F
from tests.fake_backend import Array, enter

DEVICES = ("fake", "minimal")

#: Programs of a float tensor (3, 4), an index tensor (3, 4) with numbers from 0 to 2, and the library.
PROGRAMS: list[Callable[[Any, Any], Any]] = [
    # without dimensions
    lambda x, i: x[0, 0].gather(0, i[0, 1] * 0),
    lambda x, i: x[0, 0].gather(0, i[0, 1:2] * 0),
    lambda x, i: x[0].gather(0, i[0]),
    lambda x, i: x[0, 0].scatter(0, i[0, 0] * 0, x[1, 1]),
    lambda x, i: x[0, 0].scatter(0, i[0, 0] * 0, 3.0),
    lambda x, i: x[0, 0].scatter_add(0, i[0, 0] * 0, x[1, 1]),
    lambda x, i: x[0, 0].scatter_add(0, i[0, :1] * 0, x[1, :1]),
    lambda x, i: x.take(i[0, 0]),
    lambda x, i: x.take(i),
    lambda x, i: x[0, 0].index_add(0, i[0, :1] * 0, x[1, 1], alpha=2),
    lambda x, i: x[0, 0].index_copy(0, i[0, :1] * 0, x[1, :1]),
    lambda x, i: x[0, 0].index_fill(0, i[0, :1] * 0, 2.0),
    lambda x, i: x[0, 0].index_select(0, i[0, :1] * 0),
    lambda x, i: x[0, 0].clone().index_add_(0, i[0, 0] * 0, x[1, 1]),
    lambda x, i: x[0, 0].sort().values + x[0, 0].cumsum(0) + x[0, 0].softmax(0) + x[0, 0].amax() + x[0, 0].roll(1),
    lambda x, i: x[0, 0].topk(1).values + x[0, 0].median() + x[0, 0].kthvalue(1).values + x[0, 0].max(0).values,
    lambda x, i: x[0, 0].expand(2, 3) + x[0, 0].unsqueeze(0) + x[0, 0].reshape(1, 1) + x[0, 0].flatten(),
    lambda x, i: torch.atleast_2d(x[0, 0]) + torch.stack([x[0, 0], x[1, 1]]),
    # by index
    lambda x, i: x[i[:, 0]],
    lambda x, i: x[i[:, 0], 1:],
    lambda x, i: x[1:, i[0]],
    lambda x, i: x[i[0], i[1]],
    lambda x, i: x[:, None, ..., i[0]],
    lambda x, i: x[x > 0],
    lambda x, i: x[(x > 0).any(1)],
    lambda x, i: x[i[0, 0]] + x[True, 0] + x[i[0, 0], i[0, 1]],
    lambda x, i: x[-1:, ::2] + x[..., -1, None],
    lambda x, i: x[[2, 0]][:, [True, False, True, True]],
    lambda x, i: x.index_select(1, i[0]).index_add(0, i[0, :2], x[:2]).index_copy(1, i[0, :1], x[:, :1]),
    lambda x, i: x.gather(0, i).scatter(1, i, x).scatter_add(0, i, x),
    lambda x, i: x.take_along_dim(x.argsort(1), 1) + x.take_along_dim(i[:1], 0),
    lambda x, i: x.index_put((i[:, 0], i[:, 1]), x[:, 0], accumulate=True),
    lambda x, i: x.masked_fill(x > 0, 2.0).masked_scatter(x < 0, x * 2).masked_select(i > 0),
    lambda x, i: torch.where(x > 0, x, 0.5) + torch.where(i > 1, x, x.square()),
    lambda x, i: x * (x.nonzero().sum() + x.argwhere()[0, 1] + x.count_nonzero()),
    lambda x, i: x.diagonal().sum() + x.tril().sum() + x.triu(1).sum() + x[:, :3].trace() + x[0].diag().sum(),
    # writes
    lambda x, i: _written(x, lambda y: y.__setitem__((0, slice(1, None)), 5.0)),
    lambda x, i: _written(x, lambda y: y.__setitem__(i[:, 0], x[0])),
    lambda x, i: _written(x, lambda y: y.__setitem__((slice(None), i[0]), 2.0)),
    lambda x, i: _written(x, lambda y: y.__setitem__(y > 0, 0.0)),
    lambda x, i: _written(x, lambda y: y.__setitem__((1,), x[0] * 2)),
    lambda x, i: _written(x, lambda y: y[1].mul_(3).add_(x[0])),
    lambda x, i: _written(x, lambda y: y.t()[1:].copy_(x.t()[:3])),
    lambda x, i: _written(x, lambda y: y.view(2, 6)[0].fill_(3)),
    lambda x, i: _written(x, lambda y: y.scatter_(0, i, x).index_fill_(1, i[0, :1], 2).masked_fill_(y > 1, 0)),
    lambda x, i: _written(x, lambda y: y.clamp_(-0.5, 0.5).sub_(1, alpha=2).div_(2).zero_().add_(x)),
    # shapes
    lambda x, i: x.reshape(torch.tensor(2), np.int64(6)).view(i.max() + 1, -1).expand(np.int32(3), 4).permute(np.int64(1), 0),
    lambda x, i: x.t().reshape(-1).view(2, -1, 3).reshape(-1, 2)[:0].reshape(-1, 4).sum() + x.reshape([-1]),
    lambda x, i: torch.cat([x, x.t().reshape(3, 4)], 1).chunk(3, 1)[1] + x.split([1, 3], 1)[0],
    lambda x, i: x.reshape(2, -1).permute(1, 0).flip(0).roll((1, 2), (0, 1)).repeat(1, 2).unfold(0, 2, 1),
    lambda x, i: torch.einsum("ij,kj->ik", x, x) @ x + torch.tensordot(x, x, 2) + torch.outer(x[0, :3], x[1]),
    lambda x, i: torch.meshgrid(x[0], x[1], indexing="ij")[0].movedim(0, 1).unflatten(0, (2, 2)).squeeze(),
    lambda x, i: x.tile(2).unbind(0)[1] + x.repeat_interleave(2, 1)[0] + torch.broadcast_to(x[0, :1], (8,)),
    # reductions, sorting
    lambda x, i: x.sum() + x.mean(0) + x.prod(1).sum() + x.std() + x.var(0, keepdim=True) + x.norm() + x.logsumexp(1).sum(),
    lambda x, i: x.max() + x.min(1).values.sum() + x.amin(0) + x.kthvalue(2, 1).values.sum(),
    lambda x, i: x.cumsum(0) + x.cumprod(1) + x.sort(1, descending=True).values + x.median(1, keepdim=True).values,
    lambda x, i: x * (x.all() | x.any(1, keepdim=True)) + x.argmax(1, keepdim=True) + x.argmin() + x.isnan() + x.isfinite(),
    lambda x, i: x * i.unique().sum() + x * i.flatten().bincount(minlength=4)[:4] + x * i.float().std(),
    lambda x, i: x * torch.equal(x, x) + x * torch.allclose(x, x) + x * (x.sum().item() > 0) + x * len(x),
    # elementwise
    lambda x, i: x.abs().sqrt().exp().log().sin().cos().tanh().sigmoid().atan().pow(2).pow(x.abs()).rsqrt(),
    lambda x, i: x.clamp(-0.5, 0.5) + x.sign() + x.floor() + x.round() + x.frac() + x.relu() + x.erf() + x.lerp(x * 2, 0.3),
    lambda x, i: x % 0.7 + x // 0.7 + x.remainder(0.3) + x.maximum(x * 2) + x.atan2(x + 3) + torch.logaddexp(x, x * 2),
    lambda x, i: x + i + i.float() * 2 + (i % 2) + (i << 1) + (i & 1) + i.pow(2) + (~(i > 1)) + i.to(torch.uint8) + x.double(),
    # layers
    lambda x, i: F.softmax(x, 1) + F.log_softmax(x, 0) + F.gelu(x) + F.elu(x) + F.silu(x) + F.softplus(x) + F.leaky_relu(x),
    lambda x, i: F.layer_norm(x, (4,), x[0], x[1]) + F.linear(x, x[:1].expand(4, 4), x[0]) + F.normalize(x, dim=1),
    lambda x, i: F.embedding(i, x).sum() + F.one_hot(i).float().sum() * x + F.mse_loss(x, x * 2) + F.huber_loss(x, x * 2),
    lambda x, i: F.cross_entropy(x, i[:, 0]) + F.nll_loss(x, i[:, 0], weight=x[0].detach().abs()) + F.l1_loss(x, x * 3),
    lambda x, i: F.cross_entropy(x, x.softmax(1)) + F.binary_cross_entropy(x.sigmoid(), (x > 0).float()),
    lambda x, i: F.cross_entropy(x, i[:, 0], label_smoothing=0.1, ignore_index=1),
    lambda x, i: F.conv1d(x[None], x[:, :2][None], padding=1) + F.max_pool1d(x[None], 2).sum() + F.avg_pool1d(x[None], 2).sum(),
    lambda x, i: F.conv2d(x[None, None], x[None, None, :2, :2], stride=2, padding=1) * F.adaptive_avg_pool2d(x[None], 2).sum(),
    lambda x, i: F.max_pool2d(x[None, None], 2).sum() * F.conv_transpose2d(x[None, None], x[None, None, :2, :2]),
    lambda x, i: F.scaled_dot_product_attention(x[None], x[None], x[None], is_causal=True),
    lambda x, i: torch.linalg.solve(x[:, :3] @ x[:, :3].T + 3 * torch.eye(3, device=x.device), x[:, :2]).sum() * x,
    lambda x, i: (x[:, :3] @ x[:, :3].T + 3 * torch.eye(3, device=x.device)).inverse().sum() * x,
]  # fmt: skip


def _written(x: Any, write: Callable[[Any], Any]) -> Any:
    y = x * 1
    write(y)
    return y


def values(device: str, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.uniform(-1, 1, (3, 4)).astype(np.float32), device=device, requires_grad=True)
    return x, torch.tensor(rng.integers(0, 3, (3, 4)), device=device)


def results(device: str, program: Callable[[Any, Any], Any]) -> list[np.ndarray]:
    """The value, the gradient, the derivative along ones, and the same for two tensors at once."""
    x, i = values(device)
    y = program(x, i)
    assert str(y.device) == str(x.device)
    y.square().sum().backward()
    _, moved = torch.func.jvp(lambda x: program(x, i), (x.detach(),), (torch.ones_like(x),))
    repr(y), str(x.grad), y.tolist()
    found = [y.detach(), x.grad, moved]
    return [t.cpu().numpy() for t in found]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_programs(program: Callable[[Any, Any], Any], device: str) -> None:
    enter(device)
    for found, expected in zip(results(device, program), results("cpu", program), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    "use", [bool, len, iter, int, float, np.asarray, np.sin, lambda a: a[0], lambda a: a.T]
)
def test_the_arrays_are_strict(use: Callable[[Any], Any]) -> None:
    with pytest.raises((TypeError, AttributeError)):
        use(Array(np.ones(1)))


KEYS: list[Callable[[Any, Any], Any]] = [
    lambda x, i: x[torch.ones(2, dtype=torch.bool, device=x.device)],
    lambda x, i: x[torch.ones(3, 3, dtype=torch.bool, device=x.device)],
    lambda x, i: x[i[0, :2], i[0, :3]],
    lambda x, i: x[i + 1],
    lambda x, i: x[0, i + 2],
    lambda x, i: x[3],
]


@pytest.mark.parametrize("device", ("cpu", *DEVICES))
@pytest.mark.parametrize("key", KEYS)
def test_keys_that_do_not_fit(key: Callable[[Any, Any], Any], device: str) -> None:
    if device != "cpu":
        enter(device)
    with pytest.raises(
        IndexError, match=r"shape of the mask|shape mismatch: indexing tensors|out of (bounds|range)"
    ):
        key(*values(device))
