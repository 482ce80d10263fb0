"""The end of the graph at a leaf: where gradients add up in `.grad`."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any

from . import dtypes, engine, levels, ops, quiet, storage
from .backend import BY_ARRAY, UNWRITABLE
from .graph import Meta, Node, Variable, wrap
from .op import conform
from .rebinding import spread

#: Held while a `.grad` grows: tensors may be shared by threads, each with its own backward.
lock: Any = threading.RLock()


class AccumulateGrad(Node):
    """Adds what arrives to the `.grad` of its leaf, which is writable, dense and shared with nobody.

    The leaf holds this node, and the node knows the leaf only weakly, so that the two form no cycle.
    """

    __slots__ = ("_leaf",)

    def __init__(self, leaf: Any) -> None:
        self._leaf = weakref.ref(leaf)
        self.edges, self.hooks = (), None

    def name(self) -> str:
        """The name that PyTorch gives it."""
        return "torch::autograd::AccumulateGrad"

    @property
    def variable(self) -> Any:
        """The leaf; None where nothing but this graph remembers it."""
        return self._leaf()

    def backward(self, g: Any) -> tuple[Any, ...]:
        """Add the raw array `g` to the leaf's `.grad`, or make it the `.grad` where nobody else holds it."""
        leaf = self._leaf()
        if leaf is None:
            return ()
        raw = leaf._raw
        if g.shape != raw.shape or g.dtype is not raw.dtype:
            g = _fitted(g, raw)
        backend = BY_ARRAY[type(raw)]
        try:  # not `with`, which costs twice as much; Ctrl-C may come between any two lines
            lock.acquire()
            grad = leaf._grad
            if grad is None:
                leaf._grad = wrap(g if backend.owned(g, _HOLDERS) else backend.copy(g))
            elif type(raw) in UNWRITABLE and grad._edge is None:
                storage.prepare_write(grad, "backward")
                grad._raw = quiet.call(ops.add.kernel(type(g)), grad._raw, g)
                spread(grad)
            elif grad._edge is None:
                x = storage.prepare_write(grad, "backward")
                quiet.call(ops.add.writer(type(x)), x, g, x)
            else:
                leaf._grad = grad + wrap(backend.asarray(g))
        except BaseException:
            if lock._is_owned():
                lock.release()
            raise
        lock.release()
        return ()

    consume = backward

    def backward_recorded(self, g: Any) -> tuple[Any, ...]:
        """Add the tensor `g`, with its graph, to the leaf's `.grad`."""
        leaf = self._leaf()
        if leaf is not None:
            g = _at_level_of(leaf, _fitted(g, leaf._raw))
            with lock:
                grad = leaf._grad
                leaf._grad = g.clone() if grad is None else grad + g
        return ()


def fresh_leaf(raw: Any) -> Any:
    """A new leaf over `raw`; where that is of a level, at that level alone."""
    leaf = wrap(raw).requires_grad_()
    leaf._raw = raw
    return leaf


def _at_level_of(leaf: Any, g: Any) -> Any:
    """A gradient for the `.grad` of a leaf below its level: of dual numbers, the value, unless it is recorded."""
    level = levels.of(g._raw)
    if level is None or (level is levels.of(leaf._raw) and not level.keeps_edges):
        return g
    return level.lowered(g)


def _fitted(g: Any, raw: Any) -> Any:
    """A gradient in the shape and dtype of its leaf."""
    found = tuple(g.shape)
    g = conform(g, Meta(raw.shape, dtypes.of(raw.dtype)))
    if tuple(g.shape) != tuple(raw.shape):
        raise RuntimeError(
            f"backward: a gradient of shape {list(found)} arrived at a leaf of shape {list(raw.shape)}: "
            "its .data was given another shape after the forward"
        )
    return g


def _measure_holders() -> int:
    """How many references an array has when a leaf asks whether it is its own: measured, interpreters differ."""

    class Array:
        shape, dtype = (), None

    class Measured(Exception):
        pass

    class Library:
        @staticmethod
        def owned(raw: Any, holders: int) -> bool:
            raise Measured(sys.getrefcount(raw))

    class Source(Node):
        __slots__ = ()

        def backward(self, g: Any) -> tuple[Any, ...]:
            return (Array(),)

    leaf, source = object.__new__(Variable), Source()
    leaf._raw, leaf._grad = Array(), None
    source.edges, source.hooks = (AccumulateGrad(leaf),), None
    BY_ARRAY[Array] = Library  # type: ignore[assignment]
    try:
        engine.differentiate((source,), (Array(),), retain_graph=False, recorded=False)
    except Measured as measured:
        return measured.args[0]
    finally:
        del BY_ARRAY[Array]
    raise AssertionError("no leaf was reached")


_HOLDERS = 0  # while it is measured
_HOLDERS = _measure_holders()
