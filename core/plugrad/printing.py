"""Tensors as text, character for character as PyTorch prints them.

`tensor_repr` works on host values. Large arrays are cut to the corners that are shown before anything is
formatted, so printing costs what is seen. A repr is made in three steps: the numbers become cells of one
width, the cells become nested rows, and notes (device, size, dtype, gradient) follow where they fit.

>>> print(tensor_repr(np.array([[1.0, 2.5], [-3.0, 0.0]]), dtype="torch.float64", default=False))
tensor([[ 1.0000,  2.5000],
        [-3.0000,  0.0000]], dtype=torch.float64)
"""

from __future__ import annotations

from contextlib import contextmanager
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


class PrintOptions(NamedTuple):
    """How tensors are printed; `set_printoptions` says what each field does."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=inf),
}
_options = PrintOptions()


def get_printoptions() -> dict[str, Any]:
    """Return the print options in force, as a dict of the names that `set_printoptions` takes."""
    return _options._asdict()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed; what is None stays as it was, except `sci_mode`.

    Args:
        precision: digits after the point (4).
        threshold: arrays of more elements than this are summarised (1000).
        edgeitems: how many elements a summary shows at each end of an axis (3); 0 shows none, only the size.
        linewidth: characters a line (80).
        profile: "default", "short" or "full", which the other arguments then refine.
        sci_mode: True or False forces scientific notation on or off; None, also when left out, lets the
            values decide. As in PyTorch every call sets it anew.

    Raises:
        ValueError: for an unknown profile, or a negative or fractional count.
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        known = ", ".join(repr(name) for name in _PROFILES)
        raise ValueError(f"set_printoptions: profile {profile!r} is not known: choose one of {known}")
    counts = {"precision": precision, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, count in counts.items():
        if count is not None and not (hasattr(count, "__index__") and count >= 0):
            raise ValueError(f"set_printoptions: {name}={count!r} is not a count: give an integer, 0 or more")
    given: dict[str, Any] = {
        name: value for name, value in (*counts.items(), ("threshold", threshold)) if value is not None
    }
    base = _options if profile is None else _PROFILES[profile]
    _options = base._replace(**given, sci_mode=sci_mode)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Print with other options inside a `with` block; takes what `set_printoptions` takes.

    >>> with printoptions(precision=2):
    ...     print(tensor_repr(np.array([0.5, 0.25]), dtype="torch.float32", default=True))
    tensor([0.50, 0.25])
    """
    global _options
    before = _options
    try:
        set_printoptions(**options)
        yield
    finally:
        _options = before


def tensor_repr(
    array: np.ndarray,
    *,
    dtype: str,
    default: bool,
    device: str | None = None,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    prefix: str = "tensor(",
) -> str:
    """Return the repr of a tensor whose values are `array`.

    Args:
        array: host values of any shape: bool, integer, complex; all else is printed as float64.
        dtype: the dtype's printed name, "torch.float64".
        default: whether the values imply `dtype`, so that it is left out (an empty tensor's values imply
            only the default floating dtype: an empty integer tensor names its dtype all the same).
        device: printed if given; leave it out for the default device.
        requires_grad: printed for leaves, that is if there is no `grad_fn`.
        grad_fn: the name of the node that made the tensor, "MulBackward0".
        prefix: what comes before the values; continuation lines align with the end of its last line.
    """
    array = np.asarray(array)
    indent = len(prefix) - (prefix.rfind("\n") + 1)
    notes = []
    if device is not None:
        notes.append(f"device={device!r}")
    # Named where the values cannot show it; PyTorch does so for every tensor once there are no edge items.
    hides_size = _options.edgeitems == 0 if array.size else array.ndim != 1
    if hides_size:
        notes.append(f"size={array.shape}")
    if not default or (array.size == 0 and array.dtype.kind in "biuc"):
        notes.append(f"dtype={dtype}")
    if grad_fn is not None:
        notes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        notes.append("requires_grad=True")
    values = _nested(array, indent) if array.size else "[]"
    return annotated(prefix + values, notes, indent) + ")"


def annotated(text: str, notes: list[str], indent: int) -> str:
    """Append the notes, each on a new line where it does not fit."""
    # PyTorch keeps two columns free behind the values, and none on the lines that hold only notes.
    column = len(text) - (text.rfind("\n") + 1) + 2
    for note in notes:
        if column + 2 + len(note) > _options.linewidth:
            text += ",\n" + " " * indent + note
            column = indent + len(note)
        else:
            text += ", " + note
            column += 2 + len(note)
    return text


def _nested(array: np.ndarray, indent: int) -> str:
    """Return the values in brackets, broken into lines and summarised where there are too many."""
    edge = _options.edgeitems
    summarised = array.size > _options.threshold and array.ndim > 0
    if summarised and edge == 0:
        return "[...]"
    cut = [axis for axis, length in enumerate(array.shape) if summarised and length > 2 * edge]
    if cut:
        array = _corners(array, cut, edge)

    items, width = _cells(array)
    # From the innermost axis out, the items of an axis are joined into one item of the axis around it.
    for axis in reversed(range(array.ndim)):
        outer = array.ndim - 1 - axis
        per_line = 1 if outer else max(1, (_options.linewidth - indent - axis) // (width + len(", ")))
        newline = ",\n" + "\n" * (outer - 1) + " " * (indent + axis + 1)
        length = array.shape[axis]
        rows = [items[start : start + length] for start in range(0, len(items), length)]
        if axis in cut:
            for row in rows:
                row.insert(edge, "..." if outer else " ...")
        items = ["[" + _lines(row, per_line, newline) + "]" for row in rows]
    return items[0]


def _corners(array: np.ndarray, axes: list[int], edge: int) -> np.ndarray:
    """Return only the first and last `edge` elements along each of the axes."""
    ends = [[*range(edge), *range(length - edge, length)] for length in (array.shape[axis] for axis in axes)]
    # All axes at once: one after the other would copy long slabs that the next axis throws away.
    front = range(len(axes))
    corners = np.moveaxis(array, axes, front)[np.ix_(*ends)]
    return np.moveaxis(corners, front, axes)


def _lines(items: list[str], per_line: int, newline: str) -> str:
    """Join the items by commas, `per_line` of them a line."""
    return newline.join(", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line))


def _cells(array: np.ndarray) -> tuple[list[str], int]:
    """Return the text of each element in C order, and the width that one takes on a line."""
    if array.dtype.kind in "biu":
        texts = [str(value) for value in array.ravel().tolist()]
        width = max(map(len, texts))
        return [text.rjust(width) for text in texts], width
    if array.dtype.kind != "c":
        return _float_cells(array)
    reals, real_width = _float_cells(np.real(array))
    imags, imag_width = _float_cells(np.imag(array))
    cells = [_complex_cell(real, imag.lstrip()) for real, imag in zip(reals, imags, strict=True)]
    return cells, real_width + imag_width + len("j")


def _complex_cell(real: str, imag: str) -> str:
    """Return one complex number; only the real part is padded, as in PyTorch."""
    sign = "" if imag.startswith("-") else "+"
    return f"{real}{sign}{imag}j"


def _float_cells(array: np.ndarray) -> tuple[list[str], int]:
    """Return floats in the one notation that suits them all, and the width of the widest.

    Zeros, infinities and NaN have no say in notation or width, so they may be wider than the width.
    """
    values = array.astype(np.float64).ravel().tolist()
    deciding = [value for value in values if value and isfinite(value)]
    if not deciding:
        return [_float_text(value, "whole") for value in values], 1
    notation = _notation(deciding)
    width = max(len(_float_text(value, notation)) for value in deciding)
    return [_float_text(value, notation).rjust(width) for value in values], width


def _notation(values: list[float]) -> str:
    """Choose "whole" (`3.`), "fixed" (`3.0000`) or "scientific" for finite values other than zero."""
    smallest, largest = min(map(abs, values)), max(map(abs, values))
    whole = all(value.is_integer() for value in values)
    scientific = _options.sci_mode
    if scientific is None:
        scientific = largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4
    return "scientific" if scientific else "whole" if whole else "fixed"


def _float_text(value: float, notation: str) -> str:
    if notation == "scientific":
        return f"{value:.{_options.precision}e}"
    if notation == "fixed":
        return f"{value:.{_options.precision}f}"
    return f"{value:.0f}." if isfinite(value) else f"{value:.0f}"
