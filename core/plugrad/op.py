"""Operators: a declaration holds the name, the inputs, and one formula of the derivative per input.

    mul = elementwise("multiply", "a b", a=lambda g, b: g * b, b=lambda g, a: g * a)

A formula is mathematics on whatever it is given: raw arrays in a first-order backward, tensors when the
derivative is itself recorded, tangents in forward mode. Its parameters are names, and what it names is
what the graph saves: `g` is the cotangent of the output, `y` the output, and the op's inputs and parameters
go by their own names. An input of which it reads only `.shape` or `.dtype` is not kept.

An op called on tensors records; called on raw arrays, as formulas do, it is its kernel. The kernel is found
by name on the backend of the raw array's type, by one dictionary lookup.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from . import anomaly, codegen, dtypes, fusion, kernels, levels, nan_safety, plugins, quiet, saved
from . import backend as backends
from .errors import DeviceError, NoDerivativeError, PluginError
from .graph import Meta, Node, Port, Variable, follow, made, wrap
from .modes import ANOMALY, INFERENCE, NAN_SAFE, NO_GRAD, SOURCE_LINES, SPECIAL, WATCHED, active, thread
from .storage import share
from .strict import user_place

#: Ops without an order of which an integer modulo 2^bits makes another result.
_NEVER_WRAPPED = frozenset(("where", "pow"))
#: The least category of dtypes by what an op takes.
_LEAST = {"any": dtypes.BOOL, "numbers": dtypes.INTEGER, "floats": dtypes.FLOAT}
#: Every declared op by name.
OPS: dict[str, Op | Composite] = {}


class Op:
    """A primitive operator; `elementwise`, `linear`, `multilinear` and `operator` declare one.

    `result` says what dtype comes out: "same" (the promoted dtype of the inputs), "float" (the same, but
    integers become the default float dtype), "bool", or "own" (whatever the kernel gives). An `ordered` op
    refuses complex numbers, which some libraries would compare by their parts. Of "any" `operands`, "numbers" leaves out
    bools and "floats" integers, too: those are refused.
    """

    def __init__(
        self,
        name: str,
        signature: str,
        formulas: dict[str, Callable[..., Any]],
        *,
        kind: str,
        result: str = "own",
        node: str | None = None,
        view: bool = False,
        outputs: bool = False,
        holomorphic: bool = True,
        ordered: bool = False,
        operands: str = "any",
        promotes: str | None = None,
        default: Callable[..., Any] | None = None,
        jvp: Callable[..., Any] | None = None,
    ) -> None:
        inputs, _, params = signature.partition("|")
        self.name, self.kind, self.result, self.view = name, kind, result, view
        self.python_name = name.replace("::", "_")
        self.variadic = inputs.startswith("*")
        self.inputs = tuple(inputs.lstrip("*").split())
        self.params = {k: ast.literal_eval(v) for k, _, v in (p.partition("=") for p in params.split())}
        self.formulas = formulas
        self.differentiable = tuple(i for i in self.inputs if i in formulas)
        self.promotes = frozenset(promotes.split() if promotes else self.inputs)
        self.outputs, self.holomorphic, self.own_jvp = outputs, holomorphic, jvp
        self.ordered, self.operands = ordered, operands
        self.broadcasts = kind == "elementwise"
        self.node_name = node or _node_name(name)
        #: From the type of a raw array to the kernel, filled by `kernel` at the first miss.
        self.kernels: dict[type, Callable[..., Any]] = {}
        self.writers: dict[type, Callable[..., Any]] = {}
        self.default = default
        #: Makes the kernel for a backend, None where that cannot; of an op that is given as source.
        self.kernel_for: Callable[[backends.Backend], Callable[..., Any] | None] | None = None
        self._promotions: dict[Any, Any] = {}
        #: The op on tensors.
        self.call: Callable[..., Any] = self._first_call
        codegen.check_names(name, (*self.inputs, *self.params))
        if operands not in _LEAST:
            raise ValueError(
                f"op {name!r}: operands={operands!r}: give one of {', '.join(map(repr, _LEAST))}"
            )
        unknown = set(formulas) - set(self.inputs)
        if unknown:
            raise TypeError(
                f"op {name!r}: formulas for {sorted(unknown)}, which are no inputs of {signature!r}"
            )
        if name in OPS:
            raise ValueError(f"op {name!r} is declared twice")
        OPS[name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join([*self.inputs, *self.params])})>"

    def __reduce__(self) -> Any:
        return _named, (self.name,)  # copies and pickles are the op itself

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Run the kernel on raw arrays, record on tensors."""
        try:
            first = args[0][0] if self.variadic else args[0]
        except IndexError:  # inputs by keyword, as users may give them, or none
            return self.call(*args, **params)
        kernel = self.kernels.get(type(first))
        if kernel is None:
            if isinstance(first, (int, float, complex)):  # a number may stand before a raw array
                first = next((a for a in args[1 : len(self.inputs)] if hasattr(a, "dtype")), first)
            if type(first) not in backends.BY_ARRAY:
                return self.call(*args, **params)
            kernel = self.kernel(type(first))
        return kernel(*args, *self.positional(args, params)) if self.params else kernel(*args)

    def kernel(self, array_type: type) -> Callable[..., Any]:
        """The kernel for raw arrays of a type; see `kernels` for where it comes from.

        The op's `default` is a function of raw arrays, or an op whose kernel serves for this one, too.
        """
        try:
            return self.kernels[array_type]
        except KeyError:
            backend = backends.BY_ARRAY.get(array_type)
            if backend is None:
                raise levels.escaped(array_type) from None
            if backend.is_transform:
                levels.check_thread(array_type)
                return backend.kernel(self)
            while True:
                before = kernels.generation
                found = self.kernels[array_type] = kernels.find(self, backend)[0]
                if kernels.generation == before:
                    return found
                self.kernels.pop(array_type, None)  # another thread chose others meanwhile

    def writer(self, array_type: type) -> Callable[..., Any]:
        """The kernel with one more argument: the array, of the result's shape and dtype, to write it into."""
        try:
            return self.writers[array_type]
        except KeyError:
            while True:
                before = kernels.generation
                writer = kernels.writer(self, backends.BY_ARRAY[array_type])
                self.writers[array_type] = writer
                if kernels.generation == before:
                    return writer
                self.writers.pop(array_type, None)

    def positional(self, args: tuple[Any, ...], params: dict[str, Any]) -> list[Any]:
        """The parameters that `args` leaves open, in their order."""
        given = len(args) - (1 if self.variadic else len(self.inputs))
        if given == len(self.params):
            return []
        return [params.get(name, default) for name, default in list(self.params.items())[given:]]

    # Made at the first use: generating all of them at import would cost tens of milliseconds.

    @cached_property
    def saves(self) -> codegen.Saves:
        """What the formulas read."""
        return codegen.Saves(self)

    @cached_property
    def node(self) -> type[Node]:
        """The class of the nodes that this op records."""
        return codegen.make_node(self)

    @cached_property
    def raw(self) -> Callable[..., Any]:
        """The op on raw arrays alone."""
        return codegen.make_raw(self)

    @cached_property
    def adapted_node(self) -> type[Node]:
        """`node` for inputs that were broadcast, promoted or complex."""
        return _adapt(self.node)

    @cached_property
    def nan_safe_nodes(self) -> tuple[type[Node], type[Node]]:
        """`node` and `adapted_node` of calls in the mode `nan_safe`."""
        if self.kind == "linear":  # nothing infinite comes in
            return self.node, self.adapted_node
        node = nan_safety.guarded(self.node, OPS, elementwise=self.broadcasts)
        return node, _adapt(node)

    def _first_call(self, *args: Any, **params: Any) -> Any:
        """Put the generated fast path, where there is one, in the place of `call`."""
        foreign = (
            "::" in self.name and self.result == "own"
        )  # its kernel may make complex numbers of real ones
        if not self.variadic and not self.outputs and not foreign:
            self.call = codegen.make_call(self)
        else:
            self.call = self.general
        return self.call(*args, **params)

    # --- the general path -----------------------------------------------------------------------------------

    def special(self, *args: Any, **params: Any) -> Any:
        """The op in a special mode: `general`, but inference mode alone has a fast path of its own."""
        if thread.mode & SPECIAL == INFERENCE:
            return self.inference_call(*args, **params)
        return self.general(*args, **params)

    @cached_property
    def inference_call(self) -> Callable[..., Any]:
        """`call` for inference mode."""
        return codegen.make_call(self, inference=True)

    def general(self, *args: Any, **params: Any) -> Any:
        """The op on tensors in every case: promotion, broadcasting, complex numbers, modes and errors."""
        count = 1 if self.variadic else len(self.inputs)
        if len(args) < count and not self.variadic:  # inputs by keyword
            args += tuple([params[name] for name in self.inputs[len(args) :] if name in params])
        values = (*args[count:], *self.positional(args, params)) if self.params else ()
        inputs: Sequence[Any] = args[0] if self.variadic else args[:count]
        for t in inputs:
            if not isinstance(t, Variable):
                inputs = [self._operand(i, a) for i, a in enumerate(inputs)]
                break
        level = None
        if levels.thread.stack:
            inputs, level = levels.lifted(inputs, values)
        raws = [t._raw if isinstance(t, Variable) else t for t in inputs]
        x = self._common_place(raws)
        operands, dtype = (raws, None) if self.result == "own" else self._promoted(raws)
        kernel = self.kernels.get(type(x)) or self.kernel(type(x))
        run = (
            _run if level is not None else quiet.call
        )  # a level's kernel calls ops, which are quiet themselves
        try:
            y = run(kernel, operands, *values) if self.variadic else run(kernel, *operands, *values)
        except Exception as error:
            raise self._explained(error, operands) from error
        if self.outputs:
            tensors = self._recorded_outputs(y, inputs, raws, values)
            for tensor in tensors if level is not None else ():
                level.note(tensor)
            return tensors
        if type(y) is not type(x):
            y = backends.as_array(y)
        converted = dtype is not None and self.result != "bool" and dtypes.of(y.dtype) is not dtype
        if converted:
            y = run(astype, y, dtype)
        tensor = made(y)
        if self.view:
            share(inputs[0], tensor, self, values)
            if hasattr(tensor, "_view"):  # it is no copy
                follow(tensor, inputs[0])
        edges = self._edges(inputs) if self.formulas else None
        if edges is not None:
            changed = operands is not raws or converted or y.dtype in dtypes.COMPLEX
            if self.broadcasts and not changed:
                changed = any([r.shape != y.shape for r in raws if hasattr(r, "shape")])
            tensor._edge = self._recorded(edges, raws, y, values, changed)
        if active and thread.mode & ANOMALY:
            anomaly.after_forward(self.name, raws, [y], tensor._edge)
        if active and thread.mode & WATCHED:
            thread.watcher(self, raws, values, [y], getattr(tensor, "_edge", None))
        if level is not None:
            level.note(tensor)
        return tensor

    def _operand(self, i: int, value: Any) -> Any:
        """An input as a tensor or a Python number."""
        if isinstance(value, Variable) or type(value) in (float, int, bool, complex):
            return value
        backend = backends.BY_ARRAY.get(type(value))
        if backend is not None:
            if type(value) is not backend.array_type:
                return value.item()
            return wrap(backend.copy(value))  # its owner may write to it
        if isinstance(value, (int, float, complex)):
            return value
        name = self.inputs[0 if self.variadic else i]
        raise TypeError(
            f"{self.name}(): argument {name!r} must be Tensor or a number, not {type(value).__name__}: "
            "make one with torch.tensor(...)"
        )

    def _common_place(self, raws: Sequence[Any]) -> Any:
        """The first raw array; all must be of one backend."""
        first = None
        for r in raws:
            if first is None:
                if hasattr(r, "dtype"):
                    first = r
            elif type(r) is not type(first) and hasattr(r, "dtype"):
                for array in (first, r):
                    if type(array) not in backends.BY_ARRAY:
                        raise levels.escaped(type(array))
                    if backends.BY_ARRAY[type(array)].is_transform:
                        levels.check_thread(type(array))
                one, two = (backends.backend_of(array).device_name for array in (first, r))
                raise DeviceError(f"{self.name}: tensors on {one!r} and {two!r}: move one with .to(...)")
        if first is None:
            raise TypeError(
                f"{self.name}(): needs at least one Tensor, found {', '.join(map(repr, raws)) or 'none'}"
            )
        return first

    def _promoted(self, raws: list[Any]) -> tuple[list[Any], dtypes.dtype | None]:
        """The operands in their common dtype, by PyTorch's rules, and that dtype; the same list if they have it."""
        # What matters of an operand: its dtype and whether it has dimensions; of a number, its type.
        key = (
            dtypes.get_default_dtype(),
            *[(r.dtype, not r.shape) if hasattr(r, "dtype") else type(r) for r in raws],
        )
        found = self._promotions.get(key)
        if found is None:
            found = self._promotions[key] = self._promotion(raws)
        common, casts = found
        if casts is None:
            return raws, common
        operands = list(raws)
        for i, number in casts:
            operands[i] = self._number(raws[i], common) if number else astype(raws[i], common)
        if self.result == "bool" and common.category == dtypes.INTEGER and float in map(type, operands):
            operands = [o if type(o) is float else astype(o, dtypes.float32) for o in operands]
        return operands, common

    def _promotion(self, raws: list[Any]) -> tuple[dtypes.dtype, list[tuple[int, bool]] | None]:
        """The common dtype of such operands, and those that change: (position, whether it is a number)."""
        taking_part = [
            self.variadic or name in self.promotes
            for name in self.inputs * (len(raws) if self.variadic else 1)
        ]
        common = dtypes.result_type(
            [r for r, takes_part in zip(raws, taking_part, strict=True) if takes_part]
        )
        if self.ordered and common.is_complex:
            raise NotImplementedError(
                f"{self.name} is not implemented for {common}: complex numbers have no order"
            )
        if common.category < _LEAST[self.operands]:
            raise NotImplementedError(
                f"{self.name} is not implemented for {common}: convert it with .float()"
            )
        if self.result == "alike":
            for r in raws:
                if dtypes.of(r.dtype) is not common:
                    found = " and ".join(str(dtypes.of(r.dtype)) for r in raws)
                    raise RuntimeError(
                        f"{self.name}: expected operands of the same dtype, but got {found}: convert one with .to(...)"
                    )
            return common, None
        if self.result == "float" and common.category < dtypes.FLOAT:
            common = dtypes.get_default_dtype()
        casts = []
        for i, r in enumerate(raws):
            number = not hasattr(r, "dtype")
            if taking_part[i] and (number or dtypes.of(r.dtype) is not common):
                casts.append((i, number))
        return common, casts or None

    def _number(self, value: Any, dtype: dtypes.dtype) -> Any:
        """A Python number that a kernel can take beside arrays of `dtype`.

        Integers that are none of `dtype` wrap in arithmetic, as in PyTorch. Those that are compared become infinite, and those
        that would be a result, or a bound of one, are refused.
        """
        if dtype.category == dtypes.INTEGER and not isinstance(value, bool):
            bits = 8 * dtype.itemsize
            wrapped = value % (1 << bits)
            if dtype.is_signed and wrapped >> (bits - 1):
                wrapped -= 1 << bits
            if wrapped != value and self.result == "bool":
                return math.inf if value > 0 else -math.inf
            if wrapped != value and (self.ordered or self.name in _NEVER_WRAPPED):
                raise RuntimeError(dtypes.overflow(self.name, value, dtype))
            return wrapped
        if self.result == "bool" and dtype.category <= dtypes.INTEGER:
            return value
        if dtype.category == dtypes.FLOAT and not isinstance(value, float):
            return float(value)
        return value

    def _explained(self, error: Exception, operands: list[Any]) -> Exception:
        """A kernel's failure in PyTorch's class and with the shapes that were given."""
        if isinstance(error, (RuntimeError, IndexError, MemoryError, NotImplementedError)):
            return error
        shapes = [tuple(o.shape) if hasattr(o, "shape") else () for o in operands]
        if self.broadcasts:
            for axis in range(-1, -1 - max(map(len, shapes)), -1):
                sizes = {s[axis] for s in shapes if len(s) >= -axis} - {1}
                if len(sizes) > 1:
                    first, second = [s[axis] for s in shapes if len(s) >= -axis and s[axis] != 1][:2]
                    return RuntimeError(
                        f"{self.name}: the size of tensor a ({first}) must match the size of tensor b ({second}) at "
                        f"non-singleton dimension {axis + max(map(len, shapes))}: shapes "
                        f"{' and '.join(map(str, shapes))} do not broadcast"
                    )
        if self.broadcasts and not self.params and isinstance(error, TypeError):
            found = " and ".join(str(dtypes.of(o.dtype)) for o in operands if hasattr(o, "dtype"))
            return NotImplementedError(f"{self.name} is not implemented for {found}: convert with .to(...)")
        found = ", ".join(
            f"{getattr(o, 'dtype', type(o).__name__)}{list(s)}" for o, s in zip(operands, shapes, strict=True)
        )
        return RuntimeError(f"{self.name}({found}): {error}")

    # --- recording ------------------------------------------------------------------------------------------

    def _edges(self, inputs: Sequence[Any]) -> tuple[Node | None, ...] | None:
        """Where the inputs' gradients go; None where nothing is to be recorded."""
        if not self.formulas or (active and thread.mode & (NO_GRAD | INFERENCE)):
            return None
        edges = tuple(t._edge if isinstance(t, Variable) else None for t in inputs)
        if all(e is None for e in edges):
            return None
        if not self.variadic and Variable._inference in map(type, inputs):
            for slot, (kind, needed_by) in self.saves.slots.items():
                if kind == "input" and any(edges[i] is not None for i in needed_by):
                    check_saved(inputs[self.inputs.index(slot)])
        return edges

    def _recorded(
        self,
        edges: tuple[Node | None, ...],
        raws: Sequence[Any],
        y: Any,
        values: Sequence[Any],
        adapted: bool,
    ) -> Node:
        """The node of a call, its slots filled with what the formulas of the needed gradients read."""
        cls, hooks = self.adapted_node if adapted else self.node, saved.current()
        if active and thread.mode & NAN_SAFE:
            cls = self.nan_safe_nodes[adapted]
        n: Any = (cls if hooks is None else saved.packing(cls))()
        n.edges, n.hooks = edges, None
        if active and thread.mode & SOURCE_LINES:
            n.metadata["source"] = user_place()
        if adapted:
            n.input_metas = tuple(codegen.meta(r) for r in raws)
            n.conjugate = self.holomorphic and y.dtype in dtypes.COMPLEX
        sources = {"y": y, **dict(zip(self.params, values, strict=True))}
        sources.update({self.inputs[0]: raws} if self.variadic else zip(self.inputs, raws, strict=True))
        for slot, (kind, needed_by) in self.saves.slots.items():
            value = sources[slot.removesuffix("_meta")]
            if not self.variadic and kind != "param" and all(edges[i] is None for i in needed_by):
                value = None
            elif kind == "metas":
                value = [codegen.meta(v) for v in value]
            elif kind in ("meta", "ymeta"):
                value = codegen.meta(value)
            setattr(n, slot, value)
        if hooks is not None:
            saved.pack(n, hooks)
        return n

    def _recorded_outputs(
        self, ys: Sequence[Any], inputs: Sequence[Any], raws: Sequence[Any], values: Sequence[Any]
    ) -> tuple[Any, ...]:
        """The tensors of an op with several outputs, each connected to its port of one node."""
        tensors = tuple(made(y) for y in ys)
        if self.view:
            for i, t in enumerate(tensors):
                share(inputs[0], t, self, tuple(values), i)
                follow(t, inputs[0])
        edges = self._edges(inputs)
        if edges is not None and ys:
            node: Any = self._recorded(edges, raws, ys, values, adapted=False)
            node.output_metas = tuple(codegen.meta(y) for y in ys)
            for i, t in enumerate(tensors):
                t._edge = Port(node, i)
        if active and thread.mode & ANOMALY:
            anomaly.after_forward(self.name, raws, ys, tensors[0]._edge if tensors else None)
        if active and thread.mode & WATCHED:
            edge = getattr(tensors[0], "_edge", None) if tensors else None
            thread.watcher(self, raws, values, ys, edge)
        return tensors

    # --- derivatives from the formulas ------------------------------------------------------------------------

    def vjp(self, name: str, g: Any, y: Any, inputs: Sequence[Any], params: Sequence[Any]) -> Any:
        """The formula of input `name` at a cotangent `g`, on raw arrays or tensors, for holomorphic use."""
        if name not in self.formulas:
            raise NoDerivativeError(f"backward: {self.name!r} has no derivative for input {name!r}")
        known = {
            "g": g,
            "y": y,
            **dict(zip(self.inputs, inputs, strict=True)),
            **dict(zip(self.params, params, strict=True)),
        }
        return self.formulas[name](*(known[k] for k in self.saves.formulas[name].names))


def forget_kernels() -> None:
    """Let every op look for its kernels anew, since there are others to be found."""
    kernels.generation += 1
    for op in list(OPS.values()):
        op.kernels.clear()
        if isinstance(op, Op):
            op.writers.clear()
        elif any(op.name == name for chosen in kernels.chosen for name, _ in chosen):
            op.call = op.lowered


plugins.ON_REGISTER.append(forget_kernels)


#: Whether composites look for lowerings.
_lowered_everywhere = False


def _entered(backend: backends.Backend) -> None:
    """Let composites look for lowerings from the first device on that is not the CPU.

    Once there is a backend that fuses, let nodes that were generated before look for its kernels, too.
    """
    global _lowered_everywhere
    if not _lowered_everywhere and backend.device_type != "cpu":
        _lowered_everywhere = True
        for composite in [op for op in OPS.values() if isinstance(op, Composite)]:
            composite.call = composite.lowered
    if backends.defines(backend, "fused"):
        least = 1 if backend.slow_operators else fusion.least
        if not fusion.wanted or least < fusion.least:  # formulas of fewer steps than before
            below = fusion.least if fusion.wanted else math.inf
            fusion.wanted, fusion.least = True, least
            for op in list(OPS.values()):
                if isinstance(op, Op) and "node" in vars(op):
                    codegen.fuse_formulas(op, op.node.backward.__globals__, below)
    if backend.slow_operators and backend.index_of is None:
        fusion.adders[backend.array_type] = backend.add
    new = {name for name in dir(backend) if "_vjp_" in name} - fusion.members
    if new:
        fusion.members |= new
        for op in list(OPS.values()):
            if isinstance(op, Op) and "node" in vars(op):
                codegen.lower_formulas(op, op.node.backward.__globals__, new)


backends.ON_ENTER.append(_entered)


def _run(kernel: Callable[..., Any], *args: Any) -> Any:
    return kernel(*args)


def check_saved(tensor: Any) -> None:
    """Raise for a tensor that must not be saved."""
    if type(tensor) is Variable._inference:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
            "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use "
            "it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )


def _adapt(node: type[Node]) -> type[Node]:
    """`node` with its cotangents brought to the inputs' shapes and dtypes, and PyTorch's conjugate convention."""

    def adapted(apply: Callable[..., Any]) -> Callable[..., Any]:
        def backward(n: Any, g: Any, **how: Any) -> tuple[Any, ...]:
            if not n.conjugate:
                grads = apply(n, g, **how)
            else:
                conj = OPS["conj"]
                grads = [None if x is None else conj(x) for x in apply(n, conj(g), **how)]
            return tuple(
                None if x is None else conform(x, m) for x, m in zip(grads, n.input_metas, strict=True)
            )

        return backward

    members = {f.__name__: adapted(f) for f in (node.backward, node.consume, node.backward_recorded)}
    slots = {"__slots__": ("conjugate", "input_metas"), "__doc__": node.__doc__}
    return type(node.__name__, (node,), {**slots, **members})


def conform(g: Any, meta: Meta) -> Any:
    """A cotangent in the shape and dtype of the input that it is for: broadcasting and promotion undone."""
    if tuple(g.shape) != meta.shape:
        g = quiet.run_anyway(sum_to, g, meta.shape)
    found = g.dtype if isinstance(g, Variable) else dtypes.of(g.dtype)
    if meta.dtype is not None and found is not meta.dtype:
        if found.is_complex and not meta.dtype.is_complex:
            g = OPS["real"](g)
        g = quiet.run_anyway(astype, g, meta.dtype)
    return g


def sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    """Sum `x` over the axes along which `shape` would be broadcast to the shape of `x`."""
    extra = len(x.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1
    )
    if len(axes) == extra:  # then the sum has that shape, and memory of its own
        return OPS["sum"](x, axes, False) if axes else x
    x = OPS["sum"](x, axes, True)
    return OPS["reshape"](x, shape) if extra else x


def astype(x: Any, dtype: dtypes.dtype) -> Any:
    """`x` converted to `dtype`."""
    return OPS["astype"](x, dtype)


# --- declarations ------------------------------------------------------------------------------------------


def elementwise(name: str, signature: str, /, *, result: str = "same", **given: Any) -> Op:
    """Declare an op that works element by element and broadcasts its inputs."""
    options, formulas = _split(given)
    return Op(name, signature, formulas, kind="elementwise", result=result, **options)


def linear(name: str, signature: str, /, **given: Any) -> Op:
    """Declare an op that is linear in its one input (or its list of inputs): its jvp is itself."""
    options, formulas = _split(given)
    return Op(name, signature, formulas, kind="linear", **options)


def multilinear(name: str, signature: str, /, *, result: str = "alike", **given: Any) -> Op:
    """Declare an op that is linear in each input: its jvp is itself, applied to one tangent at a time."""
    options, formulas = _split(given)
    return Op(name, signature, formulas, kind="multilinear", result=result, **options)


def operator(name: str, signature: str, /, **given: Any) -> Op:
    """Declare an op of no such kind: its jvp comes from transposing its vjp."""
    options, formulas = _split(given)
    return Op(name, signature, formulas, kind="operator", **options)


_OPTIONS = frozenset(
    ("result", "node", "view", "outputs", "holomorphic", "ordered", "operands", "promotes", "default", "jvp")
)


def _split(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of `Op`, and the rest: the formulas by input name."""
    options = {k: v for k, v in given.items() if k in _OPTIONS}
    return options, {k: v for k, v in given.items() if k not in _OPTIONS}


class Composite:
    """An operator whose meaning is a body of ops; it has no derivative of its own and is recorded op by op.

    Where a device has a kernel of it, one node is recorded: see `lowering`.
    """

    #: The call that looks for such a kernel; the body itself is called before there can be one.
    lowered: Callable[..., Any]

    def __init__(self, name: str, body: Callable[..., Any], elementwise: bool = False) -> None:
        self.name, self.body, self.elementwise, self.__doc__ = name, body, elementwise, body.__doc__
        self.node_name = _node_name(name)
        #: From the type of a raw array to the class of nodes of its lowering, None where there is none.
        self.kernels: dict[type, Any] = {}
        self.call: Callable[..., Any] = self.lowered if _lowered_everywhere or "::" in name else body
        if name in OPS:
            raise ValueError(f"op {name!r} is declared twice")
        OPS[name] = self

    @cached_property
    def arity(self) -> int:
        """How many arguments the body takes."""
        return len(self.signature.parameters)

    @cached_property
    def signature(self) -> Any:
        """The signature of the body."""
        import inspect

        return inspect.signature(self.body)

    def bound(self, args: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments of a call by position."""
        bound = self.signature.bind(*args, **params)
        bound.apply_defaults()
        return bound.args

    def __call__(self, *args: Any, **params: Any) -> Any:
        return self.call(*args, **params)

    def __repr__(self) -> str:
        return f"<composite {self.name}>"

    def __reduce__(self) -> Any:
        return _named, (self.name,)


def _node_name(name: str) -> str:
    return "".join(w.capitalize() for w in name.split("::")[-1].split("_")) + "Backward0"


def _named(name: str) -> Op | Composite:
    """The op of a pickle; a plugin's is imported."""
    if name not in OPS and "::" in name:
        try:
            plugins.load(plugins.find_op(name))
        except PluginError as error:
            raise LookupError(
                f"op {name!r} is not declared: import the package that declares it first; {error}"
            ) from error
    try:
        return OPS[name]
    except KeyError:
        raise LookupError(f"op {name!r} is not declared: import the package that declares it first") from None


def composite(name: str, *, elementwise: bool = False) -> Callable[[Callable[..., Any]], Composite]:
    """Declare the decorated function of ops as the operator `name`.

    An `elementwise` one has an element of the result for each of its inputs, the arguments without defaults, and asks neither
    for their shape nor for their values: a device that makes kernels of functions makes one of it, and one of its derivative.
    """
    return lambda body: Composite(name, body, elementwise)
