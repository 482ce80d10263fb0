"""Nested containers of tensors as a flat list and its structure: tuples, named tuples, lists, dicts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any


class Spec:
    """The structure of nested containers: the type of a container, the keys of a dict, what is in it."""

    __slots__ = ("children", "keys", "leaves", "type")

    def __init__(self, type_: type | None, keys: Any = None, children: Sequence[Spec] = ()) -> None:
        self.type, self.keys, self.children = type_, keys, tuple(children)
        self.leaves: int = 1 if type_ is None else sum(c.leaves for c in self.children)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and (self.type, self.keys, self.children) == (
            other.type,
            other.keys,
            other.children,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.keys}, [{', '.join(map(repr, self.children))}])"

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """The containers with these leaves in them.

        >>> values, spec = flatten({"a": 1, "b": (2, [3])})
        >>> spec.unflatten([10 * v for v in values])
        {'a': 10, 'b': (20, [30])}
        """
        if self.type is None:
            return leaves[0]
        found, start = [], 0
        for child in self.children:
            found.append(child.unflatten(leaves[start : start + child.leaves]))
            start += child.leaves
        if self.keys is not None:
            return self.type(zip(self.keys, found, strict=True))
        return self.type(*found) if hasattr(self.type, "_fields") else self.type(found)


_LEAF = Spec(None)


def flatten(tree: Any) -> tuple[list[Any], Spec]:
    """The leaves of nested containers, in order, and the structure; anything that is no container is a leaf."""
    kind = type(tree)
    if kind in (dict, OrderedDict):
        keys, items = list(tree), list(tree.values())
    elif kind in (tuple, list) or (
        isinstance(tree, tuple) and (hasattr(tree, "_fields") or hasattr(tree, "fields"))
    ):
        keys, items = None, list(tree)
    else:
        return [tree], _LEAF
    parts = [flatten(item) for item in items]
    return [leaf for leaves, _ in parts for leaf in leaves], Spec(kind, keys, [spec for _, spec in parts])


def prefix(tree: Any, spec: Spec) -> list[Any] | None:
    """A value for each leaf of `spec` from containers that may end earlier; None where they do not fit."""
    leaf = flatten(tree)[1].type is None
    if leaf:
        return [tree] * spec.leaves
    kind = type(tree)
    if spec.type is None or (kind is not spec.type and not (kind is tuple and spec.keys is None)):
        return None
    if len(tree) != len(spec.children) or (spec.keys is not None and set(tree) != set(spec.keys)):
        return None
    values = list(tree) if spec.keys is None else [tree[k] for k in spec.keys]
    found = [prefix(v, c) for v, c in zip(values, spec.children, strict=True)]
    return None if None in found else [x for part in found for x in part or ()]
