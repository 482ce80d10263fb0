"""Sums of products, told by an equation or by dimensions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..ops import axes

# A label names a dimension of one or several operands. In an equation it is a letter, or, under an ellipsis,
# a negative integer that counts from the right. An operand is a tensor with a list of labels.
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products, as an equation says: letters name dimensions; those not in the output are summed.

    Without `->` the letters that occur once make the output, in alphabetical order. `...` stands for any
    number of dimensions, which broadcast. More than two operands are multiplied pair by pair, the cheapest
    pair first. The form `einsum(a, [0, 1], b, [1, 2], [0, 2])` is understood, too.

    >>> import plugrad as torch
    >>> a, b = torch.ones(2, 3), torch.ones(3, 4)
    >>> torch.einsum("ij,jk->ik", a, b).shape, torch.einsum("ij->j", a)
    (torch.Size([2, 4]), tensor([2., 2., 2.]))
    """
    if not isinstance(equation, str):
        equation, operands = _from_sublists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    terms, output = _parsed(equation, [x.ndim for x in operands])
    pairs = [_diagonal(x, labels, i) for i, (x, labels) in enumerate(zip(operands, terms))]
    pairs = _without_ones(pairs)
    while len(pairs) > 1:
        i, j = _cheapest(pairs)
        rest = [pair for k, pair in enumerate(pairs) if k not in (i, j)]
        keep = {*output, *(label for _, labels in rest for label in labels)}
        pairs = [*rest, _contracted(*pairs[i], *pairs[j], keep)]
    x, labels = _summed(*pairs[0], set(output))
    # A permutation also where nothing changes, so that a new tensor comes out of a single operand.
    return (
        x.permute([labels.index(label) for label in output])
        if x is operands[0]
        else _arranged(x, labels, output)
    )


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sums of products over the last `dims` dimensions of `a` and the first of `b`, or over two lists.

    >>> import plugrad as torch
    >>> torch.tensordot(torch.ones(2, 3, 4), torch.ones(4, 3), dims=([1, 2], [1, 0]))
    tensor([12., 12.])
    """
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise RuntimeError(
                f"tensordot: expects 0 <= dims <= the dimensions of both tensors, but got dims={dims}"
            )
        dims = (range(a.ndim - dims, a.ndim), range(dims))
    dims_a, dims_b = (
        [axes.one(d, x.ndim, "tensordot") for d in ([given] if isinstance(given, int) else given)]
        for x, given in zip((a, b), dims)
    )
    if len(dims_a) != len(dims_b):
        raise RuntimeError(
            f"tensordot: both dimension lists should have same length, found {dims_a} and {dims_b}"
        )
    labels_a: list[Any] = [("a", i) for i in range(a.ndim)]
    labels_b: list[Any] = [("b", i) for i in range(b.ndim)]
    for i, j in zip(dims_a, dims_b):
        if a.shape[i] != b.shape[j]:
            raise RuntimeError(
                "tensordot: contracted dimensions need to match, but first has "
                f"size {a.shape[i]} in dim {i} and second has size {b.shape[j]} in dim {j}"
            )
        labels_b[j] = labels_a[i]
    return _contracted(a, labels_a, b, labels_b, set(labels_a) ^ set(labels_b))[0]


# --- equations ----------------------------------------------------------------------------------------------


def _parsed(equation: str, ndims: Sequence[int]) -> tuple[list[list[Any]], list[Any]]:
    """The labels of each operand and of the output."""
    inputs, arrow, result = equation.replace(" ", "").partition("->")
    subscripts = inputs.split(",")
    if len(subscripts) != len(ndims):
        which = "more" if len(subscripts) < len(ndims) else "fewer"
        raise RuntimeError(
            f"einsum(): {which} operands were provided than specified in the equation: "
            f"{len(ndims)} for the {len(subscripts)} of {equation!r}"
        )
    terms = [_labels(s, n, i) for i, (s, n) in enumerate(zip(subscripts, ndims))]
    counts = Counter(label for term in terms for label in term)
    under_ellipsis = sorted(label for label in counts if isinstance(label, int))
    if not arrow:
        return terms, under_ellipsis + sorted(c for c, n in counts.items() if n == 1 and isinstance(c, str))
    head, dots, tail = result.partition("...")
    _check_letters(head + tail, "the output")
    for c in head + tail:
        if c not in counts:
            raise RuntimeError(
                f"einsum(): output subscript {c} does not appear in the equation for any input operand"
            )
        if (head + tail).count(c) > 1:
            raise RuntimeError(f"einsum(): output subscript {c} appears more than once in the output")
    return terms, [*head, *(under_ellipsis if dots else ()), *tail]


def _labels(subscripts: str, ndim: int, operand: int) -> list[Any]:
    head, dots, tail = subscripts.partition("...")
    _check_letters(head + tail, f"operand {operand}")
    missing = ndim - len(head + tail)
    if missing < 0 or (missing and not dots):
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({len(head + tail)}) does not match "
            f"the number of dimensions ({ndim}) for operand {operand}"
            f"{'' if dots else ' and no ellipsis was given'}"
        )
    return [*head, *range(-missing, 0), *tail]


def _check_letters(letters: str, where: str) -> None:
    for c in letters:
        if c not in _LETTERS:
            raise RuntimeError(
                f"einsum(): found {c!r} for {where}: subscripts must be in [a-zA-Z], or a single '...'"
            )


def _from_sublists(arguments: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """The equation and the operands of `einsum(a, [0, 1], b, [1, 2], [0, 2])`."""

    def text(sublist: Iterable[Any]) -> str:
        return "".join("..." if i is Ellipsis else _LETTERS[i] for i in sublist)

    operands, sublists = arguments[: len(arguments) // 2 * 2 : 2], arguments[1::2]
    equation = ",".join(map(text, sublists))
    return f"{equation}->{text(arguments[-1])}" if len(arguments) % 2 else equation, tuple(operands)


# --- steps --------------------------------------------------------------------------------------------------


def _diagonal(x: Any, labels: list[Any], operand: int) -> tuple[Any, list[Any]]:
    """An operand in which a label that occurred several times is the diagonal of those dimensions."""
    for label in {c: None for c in labels if labels.count(c) > 1}:
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            if x.shape[i] != x.shape[j]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand {operand} but the sizes "
                    f"don't match, {x.shape[j]} != {x.shape[i]}"
                )
            x = x.diagonal(dim1=i, dim2=j)
            labels = [*labels[:i], *labels[i + 1 : j], *labels[j + 1 :], label]
    return x, labels


def _without_ones(pairs: list[tuple[Any, list[Any]]]) -> list[tuple[Any, list[Any]]]:
    """The operands without the dimensions of size 1 that broadcast against another operand's."""
    sizes: dict[Any, int] = {}
    for i, (x, labels) in enumerate(pairs):
        for label, n in zip(labels, x.shape):
            seen = sizes.get(label, 1)
            if n != 1 and seen not in (1, n):
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {n} for operand {i} which does not broadcast with "
                    f"previously seen size {seen}"
                )
            sizes[label] = seen if n == 1 else n
    return [_summed(x, labels, {c for c, n in zip(labels, x.shape) if n == sizes[c]}) for x, labels in pairs]


def _cheapest(pairs: list[tuple[Any, list[Any]]]) -> tuple[int, int]:
    """The two operands whose product takes the fewest multiplications, of those that share a label."""
    sizes = {label: n for x, labels in pairs for label, n in zip(labels, x.shape)}
    every = [(i, j) for j in range(len(pairs)) for i in range(j)]
    related = [(i, j) for i, j in every if set(pairs[i][1]) & set(pairs[j][1])]
    return min(
        related or every, key=lambda p: math.prod(sizes[c] for c in {*pairs[p[0]][1], *pairs[p[1]][1]})
    )


def _summed(x: Any, labels: list[Any], keep: set[Any]) -> tuple[Any, list[Any]]:
    """An operand without the dimensions that are not kept."""
    gone = tuple(i for i, label in enumerate(labels) if label not in keep)
    if not gone:
        return x, labels
    x = x.squeeze(gone) if all(x.shape[i] == 1 for i in gone) else x.sum(gone, dtype=x.dtype)
    return x, [label for label in labels if label in keep]


def _arranged(x: Any, labels: list[Any], wanted: list[Any]) -> Any:
    """A tensor with its dimensions in another order."""
    return x if labels == wanted else x.permute([labels.index(label) for label in wanted])


def _contracted(
    a: Any, labels_a: list[Any], b: Any, labels_b: list[Any], keep: set[Any]
) -> tuple[Any, list[Any]]:
    """The product of two operands, summed over what is not kept: a multiplication of (stacks of) matrices."""
    a, labels_a = _summed(a, labels_a, keep | set(labels_b))
    b, labels_b = _summed(b, labels_b, keep | set(labels_a))
    both = [c for c in labels_a if c in labels_b]
    stack, inner = [c for c in both if c in keep], [c for c in both if c not in keep]
    left, right = [c for c in labels_a if c not in both], [c for c in labels_b if c not in both]
    sizes = {**dict(zip(labels_a, a.shape)), **dict(zip(labels_b, b.shape))}

    def shape(labels: list[Any]) -> list[int]:
        return [sizes[c] for c in labels]

    result = stack + left + right
    if not inner:
        a, b = _arranged(a, labels_a, stack + left), _arranged(b, labels_b, stack + right)
        return a.reshape(shape(stack + left) + [1] * len(right)) * b.reshape(
            shape(stack) + [1] * len(left) + shape(right)
        ), result
    a, b = _arranged(a, labels_a, stack + left + inner), _arranged(b, labels_b, stack + inner + right)
    if not result:
        return a.reshape(-1).dot(b.reshape(-1)), result
    rows, columns, between = (math.prod(shape(labels)) for labels in (left, right, inner))
    stacked = [math.prod(shape(stack))] if stack else []
    product = a.reshape([*stacked, rows, between]) @ b.reshape([*stacked, between, columns])
    return product.reshape(shape(result)), result
