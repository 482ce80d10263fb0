"""The convolutions of `plugrad.nn.functional`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

_TIMES = {1: "one int", 2: "two ints", 3: "three ints"}


def numbers(value: Any, rank: int, name: str, asked: str) -> tuple[int, ...]:
    """A parameter as a number for each dimension: one number, or one in a sequence, serves for all."""
    given = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    if not all(hasattr(n, "__index__") for n in given):
        raise TypeError(f"{asked}(): argument {name!r} must be int or tuple of ints, not {value!r}")
    if len(given) not in (1, rank):
        raise RuntimeError(
            f"{asked}: {name} must either be a single int, or a tuple of {_TIMES[rank]}: expected {name} to be a "
            f"single integer value or a list of {rank} values to match the dimensions, but got {name}={list(given)}"
        )
    given = tuple(int(n) for n in given)
    return given * rank if len(given) == 1 else given


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """`conv2d` in one dimension: input (N, channels, length), weight (outputs, channels / groups, length)."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The weight moved over the images, at each place the sum of the products of what meets, plus a bias.

    `input` is (N, channels, height, width), or without N; `weight` (outputs, channels / groups, height, width),
    `bias` (outputs) or None. The weight moves by `stride`, its elements are `dilation` apart, and zeros are put
    around the images: `padding` of them, or as many as the result needs to have the images' size ("same"), or
    none ("valid"). Of `groups`, each has its own part of the channels and of the outputs.
    RuntimeError where sizes do not fit.

    >>> import plugrad as torch
    >>> conv2d(torch.arange(9.0).reshape(1, 3, 3), torch.ones(1, 1, 2, 2), stride=1)
    tensor([[[ 8., 12.],
             [20., 24.]]])
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """`conv2d` in three dimensions."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv(
    rank: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    asked = f"conv{rank}d"
    _check_dimensions(rank, input, weight, asked)
    stride, dilation = _steps(rank, stride, dilation, asked)
    x = input if input.ndim == rank + 2 else input.unsqueeze(0)
    kernel, size = tuple(weight.shape[2:]), tuple(x.shape[2:])
    pads = _pads(rank, padding, kernel, stride, dilation, asked)
    _check_channels(x, weight, bias, groups, asked)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    full = [n + a + b for n, (a, b) in zip(size, pads)]
    if 0 in size or 0 in kernel:
        raise RuntimeError(
            f"{asked}: kernel size should be greater than zero, and only zero batch or zero channel inputs are "
            f"supported, but got kernel size ({_times(kernel)}) and input shape: {list(input.shape)}"
        )
    if any(r > n for r, n in zip(reach, full)):
        raise RuntimeError(
            f"{asked}: Calculated padded input size per channel: ({_times(full)}). "
            f"Kernel size: ({_times(reach)}). Kernel size can't be greater than actual input size"
        )
    if bias is None:
        y = ops.convolution.call(x, weight, stride, pads, dilation, groups)
    else:
        y = ops.convolution_biased.call(x, weight, bias, stride, pads, dilation, groups)
    return y if x is input else y.squeeze(0)


def _check_dimensions(rank: int, input: Any, weight: Any, asked: str) -> None:
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {asked}, "
            f"but got input of size: {list(input.shape)}"
        )
    if weight.ndim != rank + 2:
        raise RuntimeError(
            f"{asked}: expected a weight of {rank + 2} dimensions, of which the last {rank} are the kernel's, "
            f"but got weight of size {list(weight.shape)}"
        )


def _steps(rank: int, stride: Any, dilation: Any, asked: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Stride and dilation, checked."""
    stride = numbers(stride, rank, "stride", asked)
    dilation = numbers(dilation, rank, "dilation", asked)
    if min(stride) < 1:
        raise RuntimeError(f"{asked}: non-positive stride is not supported, found {list(stride)}")
    if min(dilation) < 1:
        raise RuntimeError(f"{asked}: dilation should be greater than zero, but got {list(dilation)}")
    return stride, dilation


def _pads(
    rank: int,
    padding: Any,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    asked: str,
) -> tuple[tuple[int, int], ...]:
    """What is put before and after, along each dimension."""
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
        if any(s != 1 for s in stride):
            raise RuntimeError(f"{asked}: padding='same' is not supported for strided convolutions")
        return same_pads(kernel, dilation)
    if isinstance(padding, str):
        raise RuntimeError(f"{asked}: Invalid padding string: {padding!r}: choose 'valid' or 'same'")
    found = numbers(padding, rank, "padding", asked)
    if min(found) < 0:
        raise RuntimeError(
            f"{asked}: negative padding is not supported, found {list(found)}: slice the input"
        )
    return tuple((p, p) for p in found)


def same_pads(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """What keeps the size at stride 1; the odd one goes to the end.

    >>> same_pads((3, 4), (1, 1))
    ((1, 1), (1, 2))
    """
    totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
    return tuple((t // 2, t - t // 2) for t in totals)


def _check_channels(x: Any, weight: Any, bias: Any, groups: int, asked: str) -> None:
    """RuntimeError unless channels, outputs, groups and bias fit together."""
    outputs, found = weight.shape[0], list(weight.shape)
    if groups < 1:
        raise RuntimeError(f"{asked}: non-positive groups is not supported, found {groups}")
    if outputs < groups or outputs % groups:
        raise RuntimeError(
            f"{asked}: Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, and at least "
            f"{groups}, but got weight of size {found} instead"
        )
    if x.shape[1] != weight.shape[1] * groups:
        raise RuntimeError(
            f"{asked}: Given groups={groups}, weight of size {found}, expected input{list(x.shape)} to have "
            f"{weight.shape[1] * groups} channels, but got {x.shape[1]} channels instead"
        )
    _check_bias(weight, bias, outputs, asked)


def _check_bias(weight: Any, bias: Any, outputs: int, asked: str) -> None:
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise RuntimeError(
            f"{asked}: Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {outputs} "
            f"elements, but got bias of size {list(bias.shape)} instead"
        )


# --- transposed ---------------------------------------------------------------------------------------------


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """`conv_transpose2d` in one dimension."""
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Each element of the images times the weight, added up where `conv2d` would have read it; plus a bias.

    `input` is (N, channels, height, width), or without N; `weight` (channels, outputs / groups, height, width). The
    result is what `conv2d` with these parameters takes to the size of `input`; of the sizes that it does so, the
    smallest, and `output_padding`, less than `stride`, more.

    >>> import plugrad as torch
    >>> conv_transpose2d(torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 1, 1, 2), stride=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """`conv_transpose2d` in three dimensions."""
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def transposed_size(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """The smallest size that a convolution takes to `size`.

    >>> transposed_size((3,), (3,), (2,), (1,), (1,))
    (5,)
    """
    parts = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in parts)


def _transposed(
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    asked = f"conv_transpose{rank}d"
    _check_dimensions(rank, input, weight, asked)
    stride, dilation = _steps(rank, stride, dilation, asked)
    before = numbers(padding, rank, "padding", asked)
    more = numbers(output_padding, rank, "output_padding", asked)
    if min(before) < 0 or min(more) < 0:
        raise RuntimeError(
            f"{asked}: negative padding is not supported, found {list(before)} and {list(more)}"
        )
    for m, s, d in zip(more, stride, dilation):
        if m >= s:
            error = RuntimeError if m >= d else NotImplementedError
            raise error(
                f"{asked}: output padding must be smaller than stride (or dilation, which is not supported), but got "
                f"output_padding={list(more)}, stride={list(stride)} and dilation={list(dilation)}"
            )
    x = input if input.ndim == rank + 2 else input.unsqueeze(0)
    channels, outputs, *kernel = weight.shape
    if groups < 1:
        raise RuntimeError(f"{asked}: non-positive groups is not supported, found {groups}")
    if channels % groups or x.shape[1] != channels:
        raise RuntimeError(
            f"{asked}: Given transposed=1, groups={groups}, weight of size {list(weight.shape)}, expected "
            f"input{list(x.shape)} to have {channels} channels, a multiple of groups, but got {x.shape[1]} channels "
            "instead"
        )
    _check_bias(weight, bias, outputs * groups, asked)
    size = transposed_size(x.shape[2:], kernel, stride, before, dilation)
    size = tuple(n + m for n, m in zip(size, more))
    if min(size) < 1 or 0 in x.shape[2:] or 0 in kernel:
        raise RuntimeError(
            f"{asked}: Given input size per channel: {list(x.shape[2:])}. Calculated output size per channel: "
            f"{list(size)}. Output size is too small"
        )
    pads = tuple((p, p) for p in before)
    y = ops.convolution_transposed.call(x, weight, size, stride, pads, dilation, groups)
    y = y if bias is None else y + bias.reshape(-1, *[1] * rank)
    return y if x is input else y.squeeze(0)
