"""How each op is computed on a whole batch: its batching rule.

A rule takes a `Call` and returns the result, with the batch in front. Elementwise ops have theirs from their kind.
Those of most others are written as the parameters that change, by name: an `axis` counts one more, a `shape`
begins with the batch. Third parties' ops of other kinds, and those that say nothing, go one element at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..dtypes import bool_, of
from ..graph import Variable, wrap
from ..op import OPS, Op
from .batched import Batched, fallbacks, settings


class Call:
    """An op and its operands at a level of vmap: `xs`, tensors below or numbers, of which some are batched."""

    def __init__(self, op: Any, level: Any, inputs: Sequence[Any], params: Sequence[Any]) -> None:
        self.op, self.level, self.size = op, level, level.size
        own = [isinstance(r, Batched) and r.level is level for r in inputs]
        self.batched = [mine and r.batched for mine, r in zip(own, inputs, strict=True)]
        self.xs = [
            r.value if mine else wrap(r) if hasattr(r, "dtype") else r
            for mine, r in zip(own, inputs, strict=True)
        ]
        self.params = dict(zip(op.params, params, strict=True))
        self.batched_params = any(map(self.has_batch, self.params.values()))
        self.is_batched = self.batched_params or any(self.batched)

    def has_batch(self, param: Any) -> bool:
        """Whether a parameter is, or holds, an array with the batch."""
        if type(param) in (tuple, list):
            return any(map(self.has_batch, param))
        return isinstance(param, Batched) and param.level is self.level and param.batched

    def lowered(self) -> list[Any]:
        """The parameters at the level below, where none has the batch."""
        return [self.lower(p) for p in self.params.values()]

    def lower(self, param: Any) -> Any:
        """An array of this level without the batch as the raw array below; anything else as it is."""
        if type(param) in (tuple, list):
            return type(param)(map(self.lower, param))
        return param.value._raw if isinstance(param, Batched) and param.level is self.level else param

    def ndim(self, i: int = 0) -> int:
        """The number of dimensions that the user sees of an operand."""
        x = self.xs[i]
        return len(x._raw.shape) - self.batched[i] if isinstance(x, Variable) else 0

    def full(self, i: int = 0) -> Any:
        """An operand with the batch."""
        x = self.xs[i]
        return x if self.batched[i] else x.expand(self.size, *x.shape)

    def aligned(self, i: int, ndim: int) -> Any:
        """An operand that broadcasts to `ndim` dimensions and the batch in front."""
        x = self.xs[i]
        missing = ndim - self.ndim(i)
        if not self.batched[i] or missing <= 0:
            return x
        shape = tuple(x._raw.shape)
        return OPS["reshape"].call(x, (shape[0], *[1] * missing, *shape[1:]))

    def full_param(self, name: str) -> Any:
        """A parameter that is an array, as a raw array with the batch."""
        p = self.params[name]
        if self.has_batch(p):
            return p.value._raw
        raw = self.lower(p)
        return OPS["broadcast_to"].call(wrap(raw), (self.size, *raw.shape))._raw


Rule = Callable[[Call], Any]
RULES: dict[str, Rule] = {}
#: Rules that know of parameters with the batch.
TAKES_BATCHED_PARAMS: set[str] = set()


def rule(names: str, params: bool = False) -> Callable[[Rule], Rule]:
    """Declare the rule of some ops; one of batched `params` says so."""

    def declare(fn: Rule) -> Rule:
        RULES.update(dict.fromkeys(names.split(), fn))
        if params:
            TAKES_BATCHED_PARAMS.update(names.split())
        return fn

    return declare


def find(op: Op) -> tuple[Rule | None, bool]:
    """The rule of an op, or None; and whether it takes batched parameters."""
    own = getattr(op, "vmap", None)
    if own is not None:
        return own, True
    known: Any = op
    while known.name not in RULES and isinstance(known.default, Op):  # another name for that op
        known = known.default
    found = RULES.get(known.name)
    if found is None and op.kind == "elementwise":
        found = elementwise
    return found, known.name in TAKES_BATCHED_PARAMS


def apply(call: Call) -> Any:
    """The op on the batch: by its rule, or else one element at a time."""
    found, takes_params = find(call.op)
    if found is None or (call.batched_params and not takes_params):
        return one_by_one(call)
    return found(call)


def one_by_one(call: Call) -> Any:
    """The op called for each element of the batch."""
    name = call.op.name
    if settings.fallback_is_error:
        raise RuntimeError(
            f"vmap: {name} has no batching rule for these arguments, and plugrad.func.vmap_fallbacks('error') forbids "
            "to call it once for each element of the batch"
        )
    if not call.size:
        raise RuntimeError(
            f"vmap: {name} has no batching rule for these arguments, needed for an empty batch"
        )
    fallbacks[name] += 1

    def part(p: Any, i: int) -> Any:
        if type(p) in (tuple, list):
            return type(p)(part(e, i) for e in p)
        return p.value[i]._raw if call.has_batch(p) else call.lower(p)

    results = []
    for i in range(call.size):
        xs = [x[i] if b else x for x, b in zip(call.xs, call.batched, strict=True)]
        params = [part(p, i) for p in call.params.values()]
        results.append(call.op.call(*([xs] if call.op.variadic else xs), *params))
    stack = OPS["stack"]
    return [stack.call(list(ys), 0) for ys in zip(*results)] if call.op.outputs else stack.call(results, 0)


def elementwise(c: Call) -> Any:
    """Operands aligned behind the batch."""
    ndim = max(map(c.ndim, range(len(c.xs))))
    return c.op.call(*[c.aligned(i, ndim) for i in range(len(c.xs))], *c.lowered())


# --- by parameters ------------------------------------------------------------------------------------------


def _next_axis(axis: Any, c: Call) -> Any:
    if isinstance(axis, tuple):
        return tuple(_next_axis(a, c) for a in axis)
    return axis % max(c.ndim(), 1) + 1


_CHANGED: dict[str, Callable[[Any, Call], Any]] = {
    "axis": _next_axis,
    "axis1": _next_axis,
    "axis2": _next_axis,
    "axes": lambda axes, c: (0, *_next_axis(axes, c)),
    "shape": lambda shape, c: (c.size, *shape),
    "key": lambda key, c: (slice(None), *(key if type(key) is tuple else (key,))),
}


def changed(c: Call, **given: Any) -> list[Any]:
    """The parameters for the whole batch."""
    names = {name: given.get(name, c.lower(p)) for name, p in c.params.items()}
    return [p if n in given or n not in _CHANGED else _CHANGED[n](p, c) for n, p in names.items()]


@rule(
    "sum nansum mean var std prod max min any all count_nonzero logsumexp vector_norm cumulative_sum cumulative_prod "
    "softmax log_softmax argsort argtopk argmedian flip permute_dims swapaxes split_sizes unbind tril triu "
    "windows overlap_add astype to_device copy inv det slogdet cholesky matrix_transpose reshape squeeze "
    "getitem zero fill bitcast argmax argmin roll diagonal embed"
)
def by_parameters(c: Call) -> Any:
    """The op itself with other parameters, all operands with the batch."""
    x = c.full()
    if c.op.name in ("argmax", "argmin") and c.params["axis"] is None:
        y = c.op.call(OPS["reshape"].call(x, (c.size, math.prod(x.shape[1:]))), 1, False)
        return OPS["reshape"].call(y, (c.size, *[1] * c.ndim())) if c.params["keepdims"] else y
    if c.op.name == "roll" and c.params["axis"] is None:
        flat = OPS["reshape"].call(x, (c.size, math.prod(x.shape[1:])))
        shift = c.params["shift"]
        y = c.op.call(flat, shift if type(shift) is tuple else (shift,), (1,))
        return OPS["reshape"].call(y, tuple(x.shape))
    if not c.ndim() and type(c.params.get("axis")) is int:
        # A 0-d tensor counts as one of a single element.
        y = c.op.call(OPS["reshape"].call(x, (c.size, 1)), *changed(c))
        return OPS["reshape"].call(y, (c.size,))
    if c.op.name == "bitcast" and not c.ndim():
        return one_by_one(c)
    return c.op.call(x, *changed(c))


@rule("expand_dims")
def expand_dims(c: Call) -> Any:
    """The axes are those of the result."""
    axis = c.params["axis"]
    axes = axis if type(axis) is tuple else (axis,)
    ndim = c.ndim() + len(axes)
    return c.op.call(c.full(), tuple(a % ndim + 1 for a in axes) if type(axis) is tuple else axis % ndim + 1)


@rule("embed_diagonal")
def embed_diagonal(c: Call) -> Any:
    """The axes are those of the result."""
    ndim = len(c.params["shape"])
    axes = {name: c.params[name] % ndim + 1 for name in ("axis1", "axis2")}
    return c.op.call(c.full(), *changed(c, **axes))


@rule("concat stack")
def joined(c: Call) -> Any:
    """All pieces with the batch."""
    axis = c.params["axis"]
    ndim = max(c.ndim(), 1) + (c.op.name == "stack" and c.ndim() > 0)
    return c.op.call([c.full(i) for i in range(len(c.xs))], axis % ndim + 1)


@rule("broadcast_to")
def broadcast(c: Call) -> Any:
    """New dimensions go behind the batch."""
    return c.op.call(c.aligned(0, len(c.params["shape"])), (c.size, *c.params["shape"]))


@rule("tile")
def tile(c: Call) -> Any:
    """New dimensions go behind the batch."""
    times = c.params["repetitions"]
    return c.op.call(c.aligned(0, len(times)), (1, *[1] * (c.ndim() - len(times)), *times))


@rule("reverse_dims")
def reverse_dims(c: Call) -> Any:
    """The batch stays in front."""
    return OPS["permute_dims"].call(c.full(), (0, *range(c.ndim(), 0, -1)))


_OVER_AXES = {"sum_all": "sum", "mean_all": "mean", "max_all": "max", "min_all": "min"}


@rule("sum_all mean_all max_all min_all")
def over_all(c: Call) -> Any:
    """The reduction over all axes but the batch."""
    x = c.full()
    return OPS[_OVER_AXES[c.op.name]].call(x, tuple(range(1, x.ndim)), False)


@rule("prod_all median_all")
def over_flat(c: Call) -> Any:
    """The reduction along one axis of all elements."""
    x = OPS["reshape"].call(c.full(), (c.size, math.prod(c.xs[0].shape[1:])))
    if c.op.name == "prod_all":
        return OPS["prod"].call(x, 1, False)
    indices = OPS["argmedian"].call(x, 1)
    indices = indices if indices.ndim == 2 else indices.unsqueeze(1)
    return OPS["take_median"].call(x, indices._raw, 1, False)


@rule("trace")
def trace(c: Call) -> Any:
    """The sum of each diagonal."""
    return OPS["sum"].call(OPS["diagonal"].call(c.full(), 0, 1, 2), (1,), False)


# --- products and systems -----------------------------------------------------------------------------------


@rule("matmul mm bmm solve")
def matrices(c: Call) -> Any:
    """Stacks of matrices, one dimension higher."""
    op = OPS["solve" if c.op.name == "solve" else "matmul"]
    ndim = max(c.ndim(0), c.ndim(1))
    return op.call(c.aligned(0, ndim), c.aligned(1, ndim))


def _product(c: Call, i: int, j: int) -> Any:
    """The product of two operands of one or two dimensions, as stacks of matrices."""
    a, b = c.xs[i], c.xs[j]
    vector_a, vector_b = c.ndim(i) == 1, c.ndim(j) == 1
    a = a.unsqueeze(-2) if vector_a else a
    b = b.unsqueeze(-1) if vector_b else b
    y = OPS["matmul"].call(a, b)
    y = y.squeeze(-1) if vector_b else y
    return y.squeeze(-2 if not vector_b else -1) if vector_a else y


@rule("mv vm dot")
def vectors(c: Call) -> Any:
    """Vectors as matrices of one row or column."""
    return _product(c, 0, 1)


@rule("addmm addmv baddbmm")
def plus_product(c: Call) -> Any:
    """The product, then the sum."""
    beta, alpha = c.params["beta"], c.params["alpha"]
    y = _product(c, 1, 2)
    y = y if c.batched[1] or c.batched[2] else y.expand(c.size, *y.shape)
    y = y if alpha == 1 else y * alpha
    if beta == 0:
        return y
    x = c.aligned(0, y.ndim - 1)
    return (x if beta == 1 else x * beta) + y


# --- losses -------------------------------------------------------------------------------------------------


@rule("mse_loss huber_loss smooth_l1_loss binary_cross_entropy binary_cross_entropy_with_logits")
def loss(c: Call) -> Any:
    """The losses of all elements, then the reduction of each element of the batch."""
    ndim = max(c.ndim(0), c.ndim(1))
    params = [("none" if n == "reduction" else p) for n, p in zip(c.params, c.lowered(), strict=True)]
    x, target = c.aligned(0, ndim), c.aligned(1, ndim)
    if x.shape != target.shape:  # one of the two is the same for the whole batch
        shape = (c.size, *(x.shape if len(x.shape) == ndim else x.shape[1:]))
        x, target = (OPS["broadcast_to"].call(t, shape) for t in (x, target))
    losses = c.op.call(x, target, *params)
    return _reduced(losses, c.params["reduction"])


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return OPS["sum" if reduction == "sum" else "mean"].call(losses, tuple(range(1, losses.ndim)), False)


def _nll_parts(c: Call, shape: Sequence[int]) -> tuple[Any, Any, tuple[int, ...], Any]:
    """For inputs of `shape`: the targets of all elements in one batch, their shape, that of the inputs, and the
    sum of the targets' weights for each element of the batch."""
    target, weight = wrap(c.full_param("target")), c.lower(c.params["weight"])
    rows = shape[0] if len(shape) > 1 else 1
    classes, rest = (shape[1], tuple(shape[2:])) if len(shape) > 1 else (shape[0], ())
    flat = OPS["reshape"].call(target, (c.size * rows, *rest))
    counts = target != c.params["ignore_index"]
    if weight is not None:
        counts = counts * wrap(weight)[target.where(counts, 0)]
    total = counts.reshape(c.size, -1).sum(1)
    return target, flat, (c.size * rows, classes, *rest), total


@rule("nll_loss", params=True)
def nll(c: Call) -> Any:
    """All elements as one larger batch of the loss; "mean" divides by each one's own weights."""
    if c.has_batch(c.params["weight"]):
        return one_by_one(c)
    x, reduction = c.full(), c.params["reduction"]
    target, flat, shape, total = _nll_parts(c, tuple(x.shape)[1:])
    op = OPS["nll_loss"]
    losses = op.call(
        x.reshape(shape), flat._raw, c.lower(c.params["weight"]), "none", c.params["ignore_index"]
    )
    losses = losses.reshape(tuple(target.shape))
    if reduction == "none":
        return losses
    sums = losses.reshape(c.size, -1).sum(1)
    return sums if reduction == "sum" else sums / total


@rule("nll_loss_backward", params=True)
def nll_backward(c: Call) -> Any:
    """The transpose of `nll`."""
    if c.has_batch(c.params["weight"]):
        return one_by_one(c)
    g, reduction = c.full(), c.params["reduction"]
    target, flat, shape, total = _nll_parts(c, c.params["shape"])
    if reduction != "none":
        g = g / total if reduction == "mean" else g
        g = g.reshape(c.size, *[1] * (target.ndim - 1)).expand(target.shape)
    op = OPS["nll_loss_backward"]
    y = op.call(
        g.reshape(tuple(flat.shape)),
        flat._raw,
        c.lower(c.params["weight"]),
        "none",
        c.params["ignore_index"],
        shape,
    )
    return y.reshape(c.size, *c.params["shape"])


@rule("cross_entropy", params=True)
def classes(c: Call) -> Any:
    """The loss of each element's logarithms of probabilities."""
    x, reduction = c.full(), c.params["reduction"]
    if c.has_batch(c.params["weight"]):
        return one_by_one(c)
    axis = min(x.ndim - 2, 1) + 1
    target, flat, shape, total = _nll_parts(c, tuple(x.shape)[1:])
    logs = OPS["log_softmax"].call(x, (axis,)).reshape(shape)
    weight, ignored = c.lower(c.params["weight"]), c.params["ignore_index"]
    losses = OPS["nll_loss"].call(logs, flat._raw, weight, "none", ignored).reshape(tuple(target.shape))
    if reduction == "none":
        return losses
    sums = losses.reshape(c.size, -1).sum(1)
    return sums if reduction == "sum" else sums / total


# --- indices along one axis ---------------------------------------------------------------------------------


@rule("gather embed_gathered scatter scatter_add scatter_fill take_max", params=True)
def gathered(c: Call) -> Any:
    """Operands and indices with the batch."""
    xs = [c.full(i) for i in range(len(c.xs))]
    axis = c.params["axis"] % max(c.ndim(), 1) + 1
    given = {"indices": c.full_param("indices"), "axis": axis}
    return c.op.call(*xs, *changed(c, **given))


@rule("take", params=True)
def take(c: Call) -> Any:
    """With the batch in the indices, a general key."""
    indices, axis = c.params["indices"], c.params["axis"]
    if c.batched_params:
        return _read(c, OPS["index_get"], (slice(None),) * axis + (indices,))
    return c.op.call(c.full(), c.lower(indices), axis + 1)


@rule("index_add index_copy", params=True)
def slices(c: Call) -> Any:
    """With the batch in the indices, a general key."""
    indices, axis = c.params["indices"], c.params["axis"]
    if c.batched_params:
        return _write(c, (slice(None),) * axis + (indices,), c.op.name == "index_add")
    return c.op.call(c.full(0), c.full(1), c.lower(indices), axis + 1)


# --- keys of index arrays -----------------------------------------------------------------------------------


class Key:
    """An advanced key for the whole batch.

    With it an op gives, or takes, dimensions of which `order` makes: the batch, then what the user sees.
    """

    def __init__(self, c: Call, key: tuple[Any, ...], ndim: int, expanded: bool) -> None:
        parts: list[Any] = []
        for p in key:
            if hasattr(p, "dtype") and of(p.dtype) is bool_:
                if c.has_batch(p):
                    raise _dynamic(c)
                parts += OPS["nonzero"](c.lower(p))
            else:
                parts.append(p)
        at = [i for i, p in enumerate(parts) if type(p) is not slice]
        together = at[-1] - at[0] + 1 == len(at)
        first = at[0] if together else 0
        rank = max(len(parts[i].shape) for i in at)
        total = 1 + rank + ndim - len(at)
        self.rank = total - 1
        if not any(c.has_batch(p) for p in parts):
            self.key = (slice(None), *map(c.lower, parts))
            self.order = list(range(total)) if together else [rank, *range(rank), *range(rank + 1, total)]
            return
        for i in at:
            if c.has_batch(parts[i]):
                index = parts[i].value
                parts[i] = index.reshape(c.size, *[1] * (rank - index.ndim + 1), *index.shape[1:])._raw
            else:
                parts[i] = c.lower(parts[i])
        if not expanded:  # the array without the batch is read at all the batch's indices
            self.key = tuple(parts)
            self.order = [first, *range(first), *range(first + 1, total)]
            return
        some = next(parts[i] for i in at)
        numbers = (
            OPS["cumulative_sum"].call(OPS["zero"].call(wrap(some).reshape(-1)[:1]).expand(c.size) + 1, 0) - 1
        )
        self.key = (numbers.reshape(c.size, *[1] * rank)._raw, *parts)
        self.order = [
            0,
            *range(1 + rank, 1 + rank + first),
            *range(1, 1 + rank),
            *range(1 + rank + first, total),
        ]

    def read(self, y: Any) -> Any:
        """What the op gave, with the batch in front."""
        return y if self.order == sorted(self.order) else OPS["permute_dims"].call(y, tuple(self.order))

    def to_write(self, c: Call, i: int) -> Any:
        """An operand that is put at the key."""
        x = c.aligned(i, self.rank)
        if not c.batched[i] or self.order == sorted(self.order):
            return x if c.batched[i] or self.order == sorted(self.order) else self._placed(c.full(i), c, i)
        return self._placed(x, c, i)

    def _placed(self, x: Any, c: Call, i: int) -> Any:
        x = x.reshape(x.shape[0], *[1] * (self.rank + 1 - x.ndim), *x.shape[1:])
        return OPS["permute_dims"].call(x, tuple(sorted(range(len(self.order)), key=self.order.__getitem__)))


def _dynamic(c: Call) -> RuntimeError:
    return RuntimeError(
        "vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap over "
        f"{c.op.name}: use torch.where, or masked_fill, instead of a mask that selects"
    )


@rule("nonzero argwhere unique bincount")
def dynamic(c: Call) -> Any:
    """Refused: each element of the batch has a result of its own shape."""
    raise _dynamic(c)


def _read(c: Call, op: Any, key: Any) -> Any:
    expanded = c.batched[0]
    plan = Key(c, key, c.ndim(), expanded)
    return plan.read(op.call(c.xs[0], plan.key))


@rule("index_get", params=True)
def index_get(c: Call) -> Any:
    """Each element of the batch read at the key."""
    return _read(c, c.op, c.params["key"])


@rule("embed_add", params=True)
def embed_add(c: Call) -> Any:
    """The transpose of `index_get`."""
    shape = c.params["shape"]
    plan = Key(c, c.params["key"], len(shape), True)
    return c.op.call(plan.to_write(c, 0), plan.key, (c.size, *shape))


def _write(c: Call, key: Any, accumulate: bool) -> Any:
    plan = Key(c, key, c.ndim(), True)
    return OPS["index_put"].call(c.full(0), plan.to_write(c, 1), plan.key, accumulate)


@rule("index_put", params=True)
def index_put(c: Call) -> Any:
    """Each element of the batch written at the key."""
    key = c.params["key"]
    if len(key) == 1 and c.has_batch(key[0]) and of(key[0].dtype) is bool_:
        if c.ndim(1) or c.params["accumulate"]:
            raise _dynamic(c)
        ndim = c.ndim()
        mask = key[0].value
        mask = mask.reshape(*mask.shape, *[1] * (ndim + 1 - mask.ndim))
        return OPS["where"].call(mask, c.aligned(1, ndim), c.full(0))
    return _write(c, key, c.params["accumulate"])


@rule("index_fill", params=True)
def index_fill(c: Call) -> Any:
    """Each element of the batch filled at the key."""
    key = c.params["key"]
    if len(key) == 1 and c.has_batch(key[0]) and of(key[0].dtype) is bool_:
        mask = key[0].value
        mask = mask.reshape(*mask.shape, *[1] * (c.ndim() + 1 - mask.ndim)).expand(c.full().shape)
        return OPS["masked_fill"].call(c.full(), mask._raw, c.params["value"])
    return c.op.call(c.full(), Key(c, key, c.ndim(), True).key, c.params["value"])


@rule("masked_fill", params=True)
def masked_fill(c: Call) -> Any:
    """Operand and mask with the batch."""
    return c.op.call(c.full(), c.full_param("mask"), c.params["value"])


@rule("fill_with copy_into")
def copied(c: Call) -> Any:
    """The values aligned behind the batch."""
    return OPS["copy_into"].call(c.full(0), c.aligned(1, c.ndim(0)))


from . import window_rules  # noqa: E402, F401 - more rules
