"""The same elements in another shape, order or dtype; and pieces put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backend import backend_of
from ..device import device as Device
from ..dtypes import of
from ..errors import DeviceError
from ..graph import Meta
from ..op import OPS, Op, conform, linear, operator, sum_to


def alias(op: Op, name: str, node: str) -> Op:
    """The linear `op` under another name, for a call whose node PyTorch names otherwise."""
    params = " ".join(f"{k}={v!r}".replace(" ", "") for k, v in op.params.items())
    options: dict[str, Any] = {"node": node, "view": op.view, "outputs": op.outputs, "default": op}
    return linear(name, f"{' '.join(op.inputs)} | {params}", **options, **op.formulas)


# --- another shape ------------------------------------------------------------------------------------------

reshape_ = linear(
    "reshape", "x | shape=()", view=True, node="ViewBackward0", x=lambda g, x: reshape_(g, x.shape)
)
unsafe_view = alias(reshape_, "unsafe_view", "UnsafeViewBackward0")
expand_dims = linear(
    "expand_dims", "x | axis=0", view=True, node="UnsqueezeBackward0", x=lambda g, x: reshape_(g, x.shape)
)
squeeze_ = linear("squeeze", "x | axis=()", view=True, x=lambda g, x: reshape_(g, x.shape))
squeeze_dim = alias(squeeze_, "squeeze_dim", "SqueezeBackward1")
squeeze_dims = alias(squeeze_, "squeeze_dims", "SqueezeBackward2")
broadcast_to = linear(
    "broadcast_to", "x | shape=()", view=True, node="ExpandBackward0", x=lambda g, x: sum_to(g, x.shape)
)

# --- another order ------------------------------------------------------------------------------------------

permute_dims = linear(
    "permute_dims",
    "x | axes=()",
    view=True,
    node="PermuteBackward0",
    x=lambda g, axes: permute_dims(g, _inverse(axes)),
)
swapaxes_ = linear(
    "swapaxes",
    "x | axis1=0 axis2=1",
    view=True,
    node="TransposeBackward0",
    x=lambda g, axis1, axis2: swapaxes_(g, axis1, axis2),
)
#: All axes in reverse order; on a matrix PyTorch's `t()`.
reverse_dims = linear("reverse_dims", "x", view=True, node="TBackward0", x=lambda g: reverse_dims(g))
flip_ = linear("flip", "x | axis=()", x=lambda g, axis: flip_(g, axis))
roll_ = linear(
    "roll", "x | shift=() axis=None", x=lambda g, shift, axis: roll_(g, tuple(-s for s in shift), axis)
)


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `axes`."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


# --- pieces -------------------------------------------------------------------------------------------------

concat = linear(
    "concat", "*xs | axis=0", result="same", node="CatBackward0",
    xs=lambda g, xs, axis: split_sizes(g, tuple(x.shape[axis] for x in xs), axis),
)  # fmt: skip
stack_ = linear("stack", "*xs | axis=0", result="same", xs=lambda g, axis: unbind_(g, axis))
split_sizes = linear(
    "split_sizes", "x | sizes=() axis=0", view=True, outputs=True, node="SplitWithSizesBackward0",
    x=lambda g, axis: concat(g, axis),
)  # fmt: skip
split_ = alias(split_sizes, "split", "SplitBackward0")
unbind_ = linear("unbind", "x | axis=0", view=True, outputs=True, x=lambda g, axis: stack_(g, axis))
tile_ = linear(
    "tile",
    "x | repetitions=()",
    node="RepeatBackward0",
    x=lambda g, x, repetitions: _untile(g, x.shape, repetitions),
)


def _untile(g: Any, shape: Sequence[int], repetitions: Sequence[int]) -> Any:
    """The sum of the copies that `tile` made."""
    extra = len(repetitions) - len(shape)
    split = [n for pair in zip(repetitions, (*[1] * extra, *shape), strict=True) for n in pair]
    return reshape_(
        OPS["sum"](reshape_(g, tuple(split)), tuple(range(0, len(split), 2)), False), tuple(shape)
    )


# --- triangles and diagonals --------------------------------------------------------------------------------

tril_ = linear("tril", "x | k=0", x=lambda g, k: tril_(g, k))
triu_ = linear("triu", "x | k=0", x=lambda g, k: triu_(g, k))
diagonal_ = linear(
    "diagonal", "x | offset=0 axis1=0 axis2=1", view=True,
    x=lambda g, x, offset, axis1, axis2: embed_diagonal(g, x.shape, offset, axis1, axis2),
)  # fmt: skip
#: Zeros of a shape with `x` on a diagonal: undoes `diagonal`.
embed_diagonal = linear(
    "embed_diagonal", "x | shape=() offset=0 axis1=0 axis2=1", node="DiagEmbedBackward0",
    x=lambda g, offset, axis1, axis2: diagonal_(g, offset, axis1, axis2),
)  # fmt: skip

# --- windows ------------------------------------------------------------------------------------------------

windows = linear(
    "windows", "x | axis=0 size=1 step=1", node="UnfoldBackward0",
    x=lambda g, x, axis, size, step: overlap_add(g, x.shape, axis, size, step),
)  # fmt: skip
#: The sum of windows, each where it stood: undoes `windows`.
overlap_add = linear(
    "overlap_add",
    "x | shape=() axis=0 size=1 step=1",
    x=lambda g, axis, size, step: windows(g, axis, size, step),
)

# --- copies -------------------------------------------------------------------------------------------------

astype_ = linear(
    "astype",
    "x | dtype=None",
    node="ToCopyBackward0",
    x=lambda g, x: conform(g, Meta(tuple(g.shape), x.dtype)),
)


def _to_device(x: Any, target: str | None, source: str | None, non_blocking: bool) -> Any:
    here = backend_of(x)
    backend = here if target is None else Device(target).backend
    dt = of(x.dtype)
    if dt not in backend.dtypes:
        raise DeviceError(f"to({target!r}): the device has no {dt.name}: convert to another dtype first")
    if type(backend) is type(here) and backend is not here:
        return backend.receive(x, here)
    if non_blocking and here.device_type == "cpu":
        return backend.send(here.to_numpy(x))
    if non_blocking and backend.device_type == "cpu":
        return backend.from_numpy(here.fetch(x))
    y = backend.from_numpy(here.to_numpy(x))
    return backend.copy(y) if backend.device_type == "cpu" else y  # NumPy's own memory would be shared


#: The same elements on another device, by way of the host; None stands for the device where they are. With `non_blocking`
#: the values may be on their way; gradients wait.
to_device = linear(
    "to_device", "x | target=None source=None non_blocking=False", node="ToCopyBackward0", default=_to_device,
    x=lambda g, target, source: to_device(g, source, target, False),
)  # fmt: skip
#: The same bytes as another dtype.
bitcast = operator("bitcast", "x | dtype=None", view=True)
clone_ = linear("copy", "x", node="CloneBackward0", x=lambda g: g)
