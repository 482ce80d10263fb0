"""Views, pieces and layouts as methods and functions: values, nodes, shared memory, errors."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import plugrad


def tensors(T: Any) -> SimpleNamespace:
    """The tensors of the tables, in plugrad or in PyTorch; `T` is the library."""
    x = T.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    v = T.tensor([1.0, 2.0, 3.0], requires_grad=True)
    return SimpleNamespace(
        T=T,
        x=x,
        v=v,
        w=T.tensor([7.0, 8.0]),
        z=T.tensor(2.5, requires_grad=True),
        e=T.zeros(0, 3),
        i=T.tensor([[0, 1, 2], [3, 4, 5]]),
        s=T.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]], requires_grad=True),
        k=T.arange(6.0).reshape(1, 2, 1, 3).requires_grad_(),
        c=T.tensor([[1 + 1j, 2j]]),
    )


X = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
XT = [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
FLAT = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
FLAT_T = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
K = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]

Case = tuple[Callable[[Any], Any], Any, str | None]

#: call, values, name of the node (None: without a graph, or PyTorch goes another way)
CASES: list[Case] = [
    (lambda e: e.x.view(6), FLAT, "ViewBackward0"),
    (lambda e: e.x.view(3, -1), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "ViewBackward0"),
    (lambda e: e.x.view((2, 3)), X, "ViewBackward0"),
    (lambda e: e.z.view(1, 1), [[2.5]], "ViewBackward0"),
    (lambda e: e.e.view(3, 0, 5), np.zeros((3, 0, 5)), None),
    (lambda e: e.x.view_as(e.T.zeros(3, 2)), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "ViewBackward0"),
    (lambda e: e.v.detach().view(e.T.int32), [0x3F800000, 0x40000000, 0x40400000], None),
    (lambda e: e.x.reshape(3, 2), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "ViewBackward0"),
    (lambda e: e.x.t().reshape(6), FLAT_T, "UnsafeViewBackward0"),
    (lambda e: e.x.reshape(e.T.tensor(3), 2), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "ViewBackward0"),
    (lambda e: e.z.reshape(()), 2.5, "ViewBackward0"),
    (lambda e: e.x.reshape_as(e.v.expand(2, 3)), X, "ViewBackward0"),
    (lambda e: e.k.flatten(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "ViewBackward0"),
    (lambda e: e.k.flatten(1, -2), [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]], "ViewBackward0"),
    (lambda e: e.x.t().flatten(), FLAT_T, "UnsafeViewBackward0"),
    (lambda e: e.z.flatten(), [2.5], "ViewBackward0"),
    (lambda e: e.x.ravel(), FLAT, "ViewBackward0"),
    (lambda e: e.x.t().ravel(), FLAT_T, "ViewBackward0"),
    (lambda e: e.x.unflatten(1, (-1, 1)), [[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]], "ViewBackward0"),
    (lambda e: e.x.permute(1, 0), XT, "PermuteBackward0"),
    (lambda e: e.x.permute((-1, 0)), XT, "PermuteBackward0"),
    (lambda e: e.x.transpose(0, -1), XT, "TransposeBackward0"),
    (lambda e: e.x.swapaxes(0, 1), XT, "TransposeBackward0"),
    (lambda e: e.z.transpose(0, -1), 2.5, None),
    (lambda e: e.k.movedim(3, 0).squeeze(), np.transpose(K), "SqueezeBackward0"),
    (lambda e: e.k.movedim((0, 3), (1, 0))[:, 0, :, 0], np.transpose(K), None),
    (lambda e: e.x.movedim(0, 1), XT, "PermuteBackward0"),
    (lambda e: e.x.t(), XT, "TBackward0"),
    (lambda e: e.v.t(), [1.0, 2.0, 3.0], "TBackward0"),
    (lambda e: e.x.T, XT, "PermuteBackward0"),
    (lambda e: e.x.mT, XT, "TransposeBackward0"),
    (lambda e: e.x.H, XT, "TransposeBackward0"),
    (lambda e: e.c.mH, [[1 - 1j], [-2j]], None),
    (lambda e: e.x.adjoint(), XT, "TransposeBackward0"),
    (lambda e: e.k.squeeze(), K, "SqueezeBackward0"),
    (lambda e: e.k.squeeze(0), [[[0.0, 1.0, 2.0]], [[3.0, 4.0, 5.0]]], "SqueezeBackward1"),
    (lambda e: e.k.squeeze((0, -2)), K, "SqueezeBackward2"),
    (lambda e: e.x.squeeze(1), X, "SqueezeBackward1"),
    (lambda e: e.x.squeeze(()), X, "SqueezeBackward2"),
    (lambda e: e.z.squeeze(0), 2.5, "SqueezeBackward1"),
    (lambda e: e.v.unsqueeze(-1), [[1.0], [2.0], [3.0]], "UnsqueezeBackward0"),
    (lambda e: e.z.unsqueeze(0), [2.5], "UnsqueezeBackward0"),
    (lambda e: e.v.expand(2, -1), [[1.0, 2.0, 3.0]] * 2, "ExpandBackward0"),
    (lambda e: e.z.expand(2), [2.5, 2.5], "ExpandBackward0"),
    (lambda e: e.v.broadcast_to((2, 3)), [[1.0, 2.0, 3.0]] * 2, "ExpandBackward0"),
    (lambda e: e.v.expand_as(e.x), [[1.0, 2.0, 3.0]] * 2, "ExpandBackward0"),
    # pieces
    (lambda e: e.x.unbind()[1], [4.0, 5.0, 6.0], "UnbindBackward0"),
    (lambda e: e.x.unbind(-1)[2], [3.0, 6.0], "UnbindBackward0"),
    (lambda e: next(iter(e.x)), [1.0, 2.0, 3.0], "UnbindBackward0"),
    (lambda e: e.x.split(2, dim=1)[1], [[3.0], [6.0]], "SplitBackward0"),
    (lambda e: e.x.split([1, 1])[0], [[1.0, 2.0, 3.0]], "SplitWithSizesBackward0"),
    (lambda e: e.T.tensor([len(e.x.split(5)), len(e.e.split(2)), len(e.e.split(0))]), [1, 1, 1], None),
    (lambda e: e.x.chunk(2, 1)[0], [[1.0, 2.0], [4.0, 5.0]], "SplitBackward0"),
    (lambda e: e.T.tensor([len(e.x.chunk(5)), len(e.e.chunk(3))]), [2, 3], None),
    (lambda e: e.v.tensor_split(2)[0], [1.0, 2.0], "SliceBackward0"),
    (lambda e: e.v.tensor_split([1, 1, 5])[2], [2.0, 3.0], "SliceBackward0"),
    (lambda e: e.x.narrow(1, -2, 2), [[2.0, 3.0], [5.0, 6.0]], "SliceBackward0"),
    (lambda e: e.x.narrow(0, 2, 0), np.zeros((0, 3)), "SliceBackward0"),
    (lambda e: e.v.unfold(0, 2, 1), [[1.0, 2.0], [2.0, 3.0]], "UnfoldBackward0"),
    # turned and repeated
    (lambda e: e.x.flip(0, 1), [[6.0, 5.0, 4.0], [3.0, 2.0, 1.0]], "FlipBackward0"),
    (lambda e: e.x.flip([-1]), [[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]], "FlipBackward0"),
    (lambda e: e.x.flip(()), X, "FlipBackward0"),
    (lambda e: e.x.fliplr(), [[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]], "FlipBackward0"),
    (lambda e: e.x.flipud(), [[4.0, 5.0, 6.0], [1.0, 2.0, 3.0]], "FlipBackward0"),
    (lambda e: e.x.roll(1), [[6.0, 1.0, 2.0], [3.0, 4.0, 5.0]], "RollBackward0"),
    (lambda e: e.x.roll((1, -1), (0, 1)), [[5.0, 6.0, 4.0], [2.0, 3.0, 1.0]], "RollBackward0"),
    (lambda e: e.x.rot90(), [[3.0, 6.0], [2.0, 5.0], [1.0, 4.0]], None),
    (lambda e: e.x.rot90(-1), [[4.0, 1.0], [5.0, 2.0], [6.0, 3.0]], None),
    (lambda e: e.x.rot90(2, [1, 0]), [[6.0, 5.0, 4.0], [3.0, 2.0, 1.0]], None),
    (lambda e: e.v.repeat(2, 1), [[1.0, 2.0, 3.0]] * 2, "RepeatBackward0"),
    (lambda e: e.x.repeat(0, 1), np.zeros((0, 3)), "RepeatBackward0"),
    (lambda e: e.x.tile(2), [[1.0, 2.0, 3.0] * 2, [4.0, 5.0, 6.0] * 2], "RepeatBackward0"),
    (lambda e: e.v.repeat_interleave(2), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0], "ViewBackward0"),
    (lambda e: e.x.repeat_interleave(2, dim=0), [X[0], X[0], X[1], X[1]], "ViewBackward0"),
    (lambda e: e.x.repeat_interleave(e.T.tensor([0, 2]), 0), [X[1], X[1]], "IndexSelectBackward0"),
    # triangles and diagonals
    (lambda e: e.x.tril(), [[1.0, 0.0, 0.0], [4.0, 5.0, 0.0]], "TrilBackward0"),
    (lambda e: e.x.triu(1), [[0.0, 2.0, 3.0], [0.0, 0.0, 6.0]], "TriuBackward0"),
    (lambda e: e.s.diagonal(), [1.0, 5.0, 9.0], "DiagonalBackward0"),
    (lambda e: e.s.diagonal(-1, 1, 0), [2.0, 6.0], "DiagonalBackward0"),
    (lambda e: e.s.diagonal(5), [], "DiagonalBackward0"),
    (lambda e: e.s.diag(1), [2.0, 6.0], None),
    (lambda e: e.v.diag(), np.diag([1.0, 2.0, 3.0]), "DiagEmbedBackward0"),
    (lambda e: e.w.diag_embed(1), [[0.0, 7.0, 0.0], [0.0, 0.0, 8.0], [0.0, 0.0, 0.0]], None),
    (
        lambda e: e.x.diag_embed(0, 0, 2),
        [[[n if i == j else 0.0 for j in range(3)] for n in XT[i]] for i in range(3)],
        "DiagEmbedBackward0",
    ),
    # copies
    (lambda e: e.x.clone(), X, "CloneBackward0"),
    (lambda e: e.x.t().contiguous(), XT, "CloneBackward0"),
    # functions of several tensors
    (lambda e: e.T.cat([e.x, e.x[:1]]), [*X, X[0]], "CatBackward0"),
    (lambda e: e.T.cat((e.x, e.x), dim=-1), [[*X[0], *X[0]], [*X[1], *X[1]]], "CatBackward0"),
    (lambda e: e.T.cat([e.x, e.T.tensor([]), e.e]), X, "CatBackward0"),
    (lambda e: e.T.cat([e.x, e.i]), [*X, [0, 1, 2], [3, 4, 5]], "CatBackward0"),
    (lambda e: e.T.stack([e.v, e.v], 1), [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], "StackBackward0"),
    (lambda e: e.T.stack([e.z, e.z]), [2.5, 2.5], "StackBackward0"),
    (lambda e: e.T.hstack([e.v, e.w]), [1.0, 2.0, 3.0, 7.0, 8.0], "CatBackward0"),
    (lambda e: e.T.hstack([e.x, e.x[:, :1]]), [[*X[0], 1.0], [*X[1], 4.0]], "CatBackward0"),
    (lambda e: e.T.vstack([e.v, e.x]), [[1.0, 2.0, 3.0], *X], "CatBackward0"),
    (lambda e: e.T.dstack([e.z, e.z]), [[[2.5, 2.5]]], "CatBackward0"),
    (lambda e: e.T.column_stack([e.v, e.v]), [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], "CatBackward0"),
    (lambda e: e.T.atleast_1d(e.z), [2.5], "ViewBackward0"),
    (lambda e: e.T.atleast_2d(e.z, e.v)[1], [[1.0, 2.0, 3.0]], "UnsqueezeBackward0"),
    (lambda e: e.T.atleast_3d(e.v), [[[1.0], [2.0], [3.0]]], "UnsqueezeBackward0"),
    (lambda e: e.T.broadcast_tensors(e.v, e.x)[0], [[1.0, 2.0, 3.0]] * 2, "ExpandBackward0"),
    (
        lambda e: e.T.meshgrid(e.v, e.w, indexing="ij")[0],
        [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]],
        "ExpandBackward0",
    ),
    (lambda e: e.T.meshgrid(e.v, e.w, indexing="xy")[0], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], None),
    (lambda e: e.T.meshgrid([e.w, e.v], indexing="xy")[1], [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], None),
]
IDS = [str(i) for i in range(len(CASES))]


@pytest.mark.parametrize("library", ["plugrad", "torch"])
@pytest.mark.parametrize(("call", "values", "node"), CASES, ids=IDS)
def test_values_and_nodes(library: str, call: Any, values: Any, node: str | None) -> None:
    y = call(tensors(pytest.importorskip(library)))
    np.testing.assert_array_equal(
        y.detach().resolve_conj().numpy() if library == "torch" else y.detach().numpy(), values
    )
    assert tuple(y.shape) == np.shape(values)
    if node is not None:
        assert y.grad_fn.name() == node


def test_promotion_of_what_is_put_together() -> None:
    e = tensors(plugrad)
    assert plugrad.cat([e.i, e.x]).dtype is plugrad.float32
    assert plugrad.stack([e.i[0], e.i[0] > 2]).dtype is plugrad.int64
    assert plugrad.cat([plugrad.tensor([], dtype=plugrad.float64), e.x]).dtype is plugrad.float64


# --- gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [c for c in CASES if c[2] is not None], ids=lambda c: c[2])
def test_gradients_put_each_element_back(case: Case) -> None:
    """The gradient of sum(w * f(x)) by linearity: f applied to each unit vector, weighted."""
    call = case[0]
    e = tensors(plugrad)
    y = call(e)
    w = plugrad.from_numpy(np.random.default_rng(0).standard_normal(y.shape).astype(np.float32))
    leaves = [t for t in vars(e).values() if isinstance(t, plugrad.Tensor) and t.requires_grad]
    grads = plugrad.autograd.grad(y, leaves, w, allow_unused=True)
    for leaf, g in zip(leaves, grads, strict=True):
        if g is None:
            continue
        zero = {
            name: t.detach() * 0 if isinstance(t, plugrad.Tensor) and t.is_floating_point() else t
            for name, t in vars(e).items()
        }
        name = next(n for n, t in vars(e).items() if t is leaf)
        expected, constant = np.zeros(leaf.numel(), np.float32), call(SimpleNamespace(**zero))
        for k in range(leaf.numel()):
            unit = np.zeros(leaf.numel(), np.float32)
            unit[k] = 1
            y_k = call(SimpleNamespace(**{**zero, name: plugrad.from_numpy(unit.reshape(leaf.shape))}))
            expected[k] = np.sum(w.numpy() * (y_k - constant).numpy(), dtype=np.float64)
        np.testing.assert_allclose(g.numpy(), expected.reshape(leaf.shape), rtol=1e-5, atol=1e-6)


def test_outputs_that_nobody_used_have_zero_gradients() -> None:
    x = plugrad.arange(6.0).reshape(3, 2).requires_grad_()
    _, middle, _ = x.unbind()
    (middle * middle).sum().backward()
    assert x.grad.tolist() == [[0, 0], [4, 6], [0, 0]]
    (g,) = plugrad.autograd.grad(x.split(2)[1].sum(), x)
    assert g.tolist() == [[0, 0], [0, 0], [1, 1]]


# --- shared memory ------------------------------------------------------------------------------------------

VIEWS: list[Callable[[Any], Any]] = [
    lambda x: x.view(6),
    lambda x: x.view(3, 2),
    lambda x: x.reshape(6),
    lambda x: x.t().reshape(3, 2, 1),
    lambda x: x.flatten(),
    lambda x: x.unflatten(0, (2, 1)),
    lambda x: x.permute(1, 0),
    lambda x: x.transpose(0, 1),
    lambda x: x.T,
    lambda x: x.mT,
    lambda x: x.t(),
    lambda x: x.movedim(0, 1),
    lambda x: x.squeeze(),
    lambda x: x.unsqueeze(0),
    lambda x: x.expand(2, 3),
    lambda x: x.unbind(0)[1],
    lambda x: x.split(1)[0],
    lambda x: x.chunk(2, 1)[1],
    lambda x: x.narrow(1, 1, 2),
    lambda x: x.diagonal(),
    lambda x: x.contiguous(),
    lambda x: x.ravel(),
    lambda x: x[:, :2].reshape(2, 2, 1),
]
COPIES: list[Callable[[Any], Any]] = [
    lambda x: x.clone(),
    lambda x: x.t().reshape(6),
    lambda x: x.t().contiguous(),
    lambda x: x.t().ravel(),
    lambda x: x.flip(0),
    lambda x: x.roll(1),
    lambda x: x.repeat(1, 1),
    lambda x: x.tril(),
    lambda x: x.triu(),
    lambda x: x.diag(),
    lambda x: x.repeat_interleave(1),
    lambda x: plugrad.cat([x, x]),
    lambda x: plugrad.stack([x]),
    lambda x: x.rot90(),
    lambda x: x.rot90(0),
]


@pytest.mark.parametrize("f", VIEWS)
def test_a_view_writes_through_and_sees_writes(f: Any) -> None:
    x = plugrad.tensor(X)
    y = f(x)
    y.fill_(7.0)
    assert int((x == 7).sum()) == y.numel()
    x.fill_(8.0)
    assert bool((y == 8).all())
    assert x._version == y._version == 2


@pytest.mark.parametrize("f", COPIES)
def test_a_copy_shares_nothing(f: Any) -> None:
    x = plugrad.tensor(X)
    f(x).fill_(7.0)
    assert x.tolist() == X and x._version == 0


def test_a_write_never_changes_what_a_graph_saved_of_a_view() -> None:
    x = plugrad.tensor(X)
    w = plugrad.ones(3, 2, requires_grad=True)
    for view in (x.t(), x.view(3, 2), x[:1].expand(2, 3).t()):
        before = view.clone()
        y = (w * view).sum()
        x.add_(10.0)
        (g,) = plugrad.autograd.grad(y, w)
        assert g.tolist() == before.tolist()


def test_expanded_elements_overlap_and_cannot_be_written() -> None:
    y = plugrad.ones(1, 2).expand(3, 2)
    with pytest.raises(RuntimeError, match="add_"):
        y.add_(1.0)


def test_view_refuses_a_copy_and_names_the_cure() -> None:
    with pytest.raises(
        RuntimeError, match=r"view size is not compatible .*shape \[3, 2\], stride \(1, 3\).*Use \.reshape"
    ):
        plugrad.tensor(X).t().view(6)


def test_reading_bytes_as_another_dtype_has_no_gradient() -> None:
    with pytest.raises(
        RuntimeError, match=r"view\(torch.float16\): reading bytes as another dtype has no derivative"
    ):
        plugrad.ones(2, requires_grad=True).view(plugrad.float16)


# --- errors -------------------------------------------------------------------------------------------------

ERRORS: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda e: e.x.view(4), RuntimeError, r"shape '\[4\]' is invalid for input of size 6"),
    (lambda e: e.x.view(-1, -1), RuntimeError, "only one dimension can be inferred"),
    (lambda e: e.x.view(-1, 4), RuntimeError, r"shape '\[-1, 4\]' is invalid"),
    (lambda e: e.x.view(-2, 3), RuntimeError, "invalid shape dimension -2 at index 0"),
    (lambda e: e.x.view(), TypeError, "view"),
    (lambda e: e.x.t().view(4), RuntimeError, r"shape '\[4\]' is invalid"),
    (lambda e: e.x.t().reshape(4), RuntimeError, r"shape '\[4\]' is invalid"),
    (lambda e: e.x.reshape(), TypeError, "reshape"),
    (lambda e: e.e.reshape(-1, 0), RuntimeError, "cannot reshape tensor of 0 elements"),
    (lambda e: e.x.flatten(1, 0), RuntimeError, "start_dim cannot come after end_dim"),
    (lambda e: e.x.flatten(0, 5), IndexError, "Dimension out of range"),
    (
        lambda e: e.x.unflatten(1, (2, 2)),
        RuntimeError,
        r"unflatten: Provided sizes \[2, 2\] don't multiply up to the size of dim 1 \(3\)",
    ),
    (lambda e: e.x.unflatten(1, (-1, -1)), RuntimeError, "only one dimension can be inferred"),
    (lambda e: e.x.permute(0), RuntimeError, r"input.dim\(\) = 2 is not equal to len\(dims\) = 1"),
    (lambda e: e.x.permute(0, 0), RuntimeError, "duplicate dims are not allowed"),
    (lambda e: e.x.permute(0, 5), IndexError, "Dimension out of range"),
    (lambda e: e.x.transpose(0, 2), IndexError, r"expected to be in range of \[-2, 1\], but got 2"),
    (lambda e: e.k.t(), RuntimeError, r"t\(\) expects a tensor with <= 2 dimensions, but self is 4D"),
    (lambda e: e.v.mT, RuntimeError, "only supported on matrices or batches of matrices. Got 1-D tensor"),
    (lambda e: e.k.H, RuntimeError, r"only supported on matrices \(2-D tensors\). Got 4-D tensor"),
    (lambda e: e.x.movedim(0, 5), IndexError, "Dimension out of range"),
    (lambda e: e.x.movedim((0, 1), (0,)), RuntimeError, "Invalid source or destination dims"),
    (lambda e: e.x.movedim((0, 0), (0, 1)), RuntimeError, "movedim: repeated dim in `source`"),
    (lambda e: e.x.squeeze(5), IndexError, "Dimension out of range"),
    (lambda e: e.x.squeeze((0, 0)), RuntimeError, "multiple times"),
    (lambda e: e.x.unsqueeze(3), IndexError, r"\[-3, 2\], but got 3"),
    (
        lambda e: e.x.expand(4, 4),
        RuntimeError,
        r"The expanded size of the tensor \(4\) must match the existing size \((3|2)\) at non-singl",
    ),
    (
        lambda e: e.x.expand(-1, 2, 3),
        RuntimeError,
        r"\(-1\) isn't allowed in a leading, non-existing dimension 0",
    ),
    (lambda e: e.x.expand(2), RuntimeError, "must be greater or equal to the number of dimensions"),
    (lambda e: e.x.expand(2, -2), RuntimeError, r"The expanded size of the tensor \(-2\)"),
    (lambda e: e.z.unbind(), IndexError, "Dimension specified as 0 but tensor has no dimensions"),
    (lambda e: e.x.split(0), RuntimeError, "split_size can only be 0 if dimension size is 0"),
    (lambda e: e.x.split(-1), RuntimeError, "non-negative"),
    (lambda e: e.x.split([1, 2]), RuntimeError, "sum exactly to 2"),
    (lambda e: e.x.split([1, -1]), RuntimeError, "only non-negative entries"),
    (lambda e: e.x.split([1, 1], 5), IndexError, "Dimension out of range"),
    (lambda e: e.z.split(1), RuntimeError, "at least a 1-dimensional tensor"),
    (lambda e: e.x.chunk(0), RuntimeError, "greater than 0, got: 0"),
    (lambda e: e.x.tensor_split(0), RuntimeError, "number of sections must be larger than 0"),
    (
        lambda e: e.x.narrow(0, 1, 2),
        RuntimeError,
        r"start \(1\) \+ length \(2\) exceeds dimension size \(2\)",
    ),
    (lambda e: e.x.narrow(0, 0, -1), RuntimeError, "length must be non-negative"),
    (lambda e: e.x.narrow(0, 3, 0), IndexError, "start out of range"),
    (lambda e: e.z.narrow(0, 0, 1), RuntimeError, "narrow"),
    (
        lambda e: e.x.unfold(1, 4, 1),
        RuntimeError,
        "maximum size for tensor at dimension 1 is 3 but size is 4",
    ),
    (lambda e: e.x.unfold(1, 2, 0), RuntimeError, "step is 0 but must be > 0"),
    (lambda e: e.x.flip(0, 0), RuntimeError, "multiple times"),
    (lambda e: e.x.flip(), TypeError, "flip"),
    (lambda e: e.x.flip(3), IndexError, "Dimension out of range"),
    (lambda e: e.x.roll((1, 2), 0), RuntimeError, "shifts and dimensions must align"),
    (lambda e: e.x.roll(1, 2), IndexError, "Dimension out of range"),
    (lambda e: e.v.rot90(), RuntimeError, "rot90|expected total dims"),
    (lambda e: e.x.repeat(2), RuntimeError, "can not be smaller than number of dimensions of tensor"),
    (lambda e: e.x.repeat(-1, 1), RuntimeError, "negative dimension"),
    (lambda e: e.x.repeat_interleave(-1), RuntimeError, "Repeats must be non-negative"),
    (
        lambda e: e.x.repeat_interleave(e.T.tensor([1, 2])),
        RuntimeError,
        r"repeats.size\(0\) = 2 and input.size\(0\) = 6",
    ),
    (lambda e: e.v.tril(), RuntimeError, "at least 2 dimensions"),
    (lambda e: e.v.diagonal(), IndexError, "Dimension out of range"),
    (lambda e: e.x.diagonal(0, 0, 0), RuntimeError, "diagonal dimensions cannot be identical 0, 0"),
    (lambda e: e.k.diag(), RuntimeError, "Supports 1D or 2D tensors. Got 4D"),
    (lambda e: e.T.cat([]), ValueError, "expected a non-empty list of Tensors"),
    (lambda e: e.T.cat([e.x, e.v]), RuntimeError, "must have same number of dimensions: got 2 and 1"),
    (
        lambda e: e.T.cat([e.x, e.x[:, :2]]),
        RuntimeError,
        "Sizes of tensors must match except in dimension 0. Expected size 3 but got size 2",
    ),
    (
        lambda e: e.T.cat([e.z, e.z]),
        RuntimeError,
        r"zero-dimensional tensor \(at position 0\) cannot be concatenated",
    ),
    (lambda e: e.T.cat([e.x, e.x], dim=2), IndexError, "Dimension out of range"),
    (lambda e: e.T.cat(e.x), TypeError, "must be tuple of Tensors, not Tensor"),
    (lambda e: e.T.cat([e.x, 3]), TypeError, "expected Tensor as element 1"),
    (lambda e: e.T.stack([]), RuntimeError, "non-empty TensorList"),
    (
        lambda e: e.T.stack([e.x, e.v]),
        RuntimeError,
        r"equal size, but got \[2, 3\] at entry 0 and \[3\] at entry 1",
    ),
    (lambda e: e.T.hstack([]), RuntimeError, "non-empty TensorList"),
    (lambda e: e.T.meshgrid(e.v, e.x, indexing="ij"), RuntimeError, "Expected 0D or 1D tensor"),
    (lambda e: e.T.meshgrid(e.v, indexing="yx"), RuntimeError, "indexing must be one of"),
    (lambda e: e.T.broadcast_tensors(e.x, e.w), RuntimeError, "broadcast|must match the size"),
    (lambda e: e.T.broadcast_shapes((2,), (3,)), RuntimeError, "broadcast"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(tensors(plugrad))


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_the_classes_of_errors_are_pytorchs(call: Any, error: type[Exception], text: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(error):
        call(tensors(torch))
