"""The fast paths of an op, generated from its declaration at the op's first call.

For an op with formulas two things are made: a `Node` subclass whose slots are what the formulas read, and a
function that calls the kernel and fills such a node. For `multiply` (`a=g * b`, `b=g * a`) they come to

    def multiply(a, b):                               class MulBackward0(Node):
        try:                                              __slots__ = ("a", "b")
            ...raw arrays, of one real dtype...          def backward(n, g):
            y = run(kernels[type(x0)], x0, x1)                e0, e1 = n.edges
        except Exception:                                     return (None if e0 is None else run(f0, g, n.b),
            return general(a, b)                                      None if e1 is None else run(f1, g, n.a))
        ...
        n.b = x1 if e0 is not None else None
        n.a = x0 if e1 is not None else None

Everything out of the ordinary (promotion, complex numbers, operands that are no tensors, modes,
errors) is `Op.general`'s, so the fast path need not be right about it: any exception ends there too.
"""

from __future__ import annotations

import dis
import math
from collections.abc import Iterable
from keyword import iskeyword
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from . import fusion, quiet
from .backend import as_array, backend_of
from .dtypes import BY_RAW, INTEGERS, NOT_COMPLEX, NUMBERS, REAL, float32, of
from .errors import GraphFreedError, NoDerivativeError
from .graph import Meta, Node, Variable, follow, wrap
from .modes import NO_GRAD, SPECIAL, active, thread
from .storage import share

if TYPE_CHECKING:
    from .op import Op

_METADATA = frozenset(("shape", "dtype", "ndim"))
_IDENTITY = (lambda g: g).__code__.co_code
#: The dtypes of the fast path by what an op takes.
_EXACT = {"any": NOT_COMPLEX, "numbers": NUMBERS, "floats": REAL}
_STEPS = ("BINARY_", "UNARY_", "COMPARE_", "CALL")


#: What generated code and nodes call their own: no input or parameter may have such a name.
RESERVED = frozenset(dir(Node)) | frozenset(
    """general kernels REAL FLOAT32 active thread meta run as_array new special follow Tensor share op EXACT INTEGERS self
    Exception TypeError type float int hasattr consume release saves input_metas output_metas conjugate""".split()  # noqa: SIM905
)


def check_names(op: str, names: Iterable[str]) -> None:
    """Raise TypeError for an input or parameter whose name generated code could not tell from its own."""
    for name in names:
        if name in ("g", "y"):
            raise TypeError(
                f"op {op!r}: an argument is called {name!r}: in a formula, 'g' is the output's cotangent and 'y' the output: "
                "give it another name"
            )
        if (
            name in RESERVED
            or name[0] == "_"
            or name.endswith("_meta")
            or not name.isidentifier()
            or iskeyword(name)
        ):
            raise TypeError(
                f"op {op!r}: an argument is called {name!r}, which plugrad's own code for ops needs: give it another name"
            )


def metadata_only(code: CodeType) -> set[str]:
    """The parameters of which a formula reads nothing but `.shape`, `.dtype` and `.ndim`.

    >>> sorted(metadata_only((lambda g, x, y: g.reshape(x.shape) * y).__code__))
    ['x']
    """
    names = set(code.co_varnames[: code.co_argcount]) - set(code.co_cellvars)
    instructions = list(dis.get_instructions(code))
    for here, following in zip(instructions, [*instructions[1:], None], strict=True):
        if "FAST" not in here.opname:
            continue
        loaded = here.argval if isinstance(here.argval, tuple) else (here.argval,)
        reads_metadata = (
            following is not None and following.opname == "LOAD_ATTR" and following.argval in _METADATA
        )
        names.difference_update(loaded[:-1] if reads_metadata else loaded)
    return names


class Formula:
    """One derivative: the function, the names that it reads, and those it reads for shape and dtype only."""

    def __init__(self, fn: Any) -> None:
        code = fn.__code__
        self.fn = fn
        self.names = code.co_varnames[: code.co_argcount]
        self.metadata = metadata_only(code)
        self.is_identity = self.names == ("g",) and code.co_code == _IDENTITY

    @property
    def steps(self) -> int:
        """How many operators and calls there are in it."""
        return sum(i.opname.startswith(_STEPS) for i in dis.get_instructions(self.fn.__code__))


def on_raw_arrays(formula: Any) -> Any:
    """`formula`, with the ops that it names itself replaced by their `raw` functions: a frame less for each."""
    names, known = formula.__code__.co_names, formula.__globals__
    # An op has both; the module `plugrad`, which a formula may name, too, has a submodule of the first name.
    ops = {n: known[n].raw for n in names if hasattr(known.get(n), "kernels") and hasattr(known[n], "raw")}
    if not ops:
        return formula
    return FunctionType(formula.__code__, {**known, **ops}, formula.__name__, None, formula.__closure__)


def make_raw(op: Op) -> Any:
    """The function that runs the kernel of `op` on raw arrays; anything else goes to the op itself."""
    parameters = "".join(f", {p}=default_{p}" for p in op.params)
    names = ", ".join([*op.inputs, *op.params])
    first = f"{op.inputs[0]}[0]" if op.variadic else op.inputs[0]
    source = f"""
def {op.python_name}({", ".join(op.inputs)}{parameters}):
    try:
        _kernel = kernels[type({first})]
    except KeyError:
        return op({names})
    return _kernel({names})
"""
    namespace = {"kernels": op.kernels, "op": op, **{f"default_{p}": v for p, v in op.params.items()}}
    return define(source, namespace, f"kernel of {op.name}")[op.python_name]


def define(source: str, namespace: dict[str, Any], filename: str) -> dict[str, Any]:
    """Run generated source in `namespace`, which is returned."""
    exec(compile(source, f"<plugrad {filename}>", "exec"), namespace)
    return namespace


# --- nodes -------------------------------------------------------------------------------------------------


class Saves:
    """What the formulas of an op read, as slots of its node: name of the slot → (value, needed when)."""

    def __init__(self, op: Op) -> None:
        self.op = op
        self.formulas = {name: Formula(f) for name, f in op.formulas.items()}
        self.slots: dict[str, tuple[str, list[int]]] = {}
        self.arguments = {name: self._arguments(name, f) for name, f in self.formulas.items()}

    def _arguments(self, differentiated: str, formula: Formula) -> list[tuple[str, str]]:
        """(slot, kind) for each parameter of a formula; kind is g, y, input, meta or param."""
        op, found = self.op, []
        for name in formula.names:
            if name == "g":
                found.append(("g", "g"))
                continue
            if op.variadic and name in op.inputs:
                kind = "metas"
            elif name in op.inputs:
                kind = "meta" if name in formula.metadata else "input"
            elif name == "y":
                kind = "ymeta" if name in formula.metadata else "y"
            elif name in op.params:
                kind = "param"
            else:
                raise TypeError(
                    f"op {op.name!r}: the formula of {differentiated!r} reads {name!r}, which is none of 'g', 'y', "
                    f"the inputs {', '.join(op.inputs)} and the parameters {', '.join(op.params) or '(none)'}"
                )
            slot = f"{name}_meta" if kind.endswith("meta") else name
            found.append((slot, kind))
            self.slots.setdefault(slot, (kind, []))[1].append(op.inputs.index(differentiated))
        return found

    def fill(self, raws: list[str], edges: list[str]) -> list[str]:
        """The statements that fill the slots of node `_n`, given the names of raw arrays and edges."""
        lines = []
        for slot, (kind, needed_by) in self.slots.items():
            name = slot.removesuffix("_meta") if kind.endswith("meta") else slot
            value = raws[self.op.inputs.index(name)] if kind in ("input", "meta") else name
            if kind in ("meta", "ymeta"):
                value = f"meta({value})"
            condition = " or ".join(f"{edges[i]} is not None" for i in sorted(set(needed_by)))
            always = kind == "param" or len(set(needed_by)) == len(self.op.differentiable)
            lines.append(
                f"_n.{slot} = {value}" if always else f"_n.{slot} = {value} if {condition} else None"
            )
        return lines


def meta(raw: Any) -> Meta:
    """The shape and dtype of a raw array; of a Python number, those of a 0-d array."""
    m = _new_meta(Meta)
    try:
        m.shape = shape = raw.shape
        m.ndim, m.dtype = len(shape), BY_RAW[raw.dtype]
    except (AttributeError, KeyError):
        return Meta(raw.shape, of(raw.dtype)) if hasattr(raw, "shape") else Meta((), None)
    return m


_new_meta = object.__new__


def make_node(op: Op) -> type[Node]:
    """The `Node` subclass of an op: its slots, `backward`, `backward_recorded` and `release`."""
    saves, edges = op.saves, [f"e{i}" for i in range(len(op.inputs))]
    namespace: dict[str, Any] = {
        "wrap": wrap,
        "rewrap": _rewrap,
        "recover": recover,
        "run": quiet.run,
        "no_formula": _no_formula,
        "connected": connected,
        "materialize": materialize,
    }
    raw_results, recorded_results = [], []
    for i, name in enumerate(op.inputs):
        formula = saves.formulas.get(name)
        if formula is None:
            call = recorded = f"no_formula({op.name!r}, {name!r})"
        elif formula.is_identity:
            call = recorded = "g"
        else:
            namespace[f"f{i}"], namespace[f"r{i}"] = formula.fn, on_raw_arrays(formula.fn)
            slots = saves.arguments[name]
            call = f"run(r{i}, {', '.join('g' if k == 'g' else f'n.{s}' for s, k in slots)})"
            arguments = ", ".join(_recorded_argument(op, s, k) for s, k in slots)
            linear = op.kind in ("linear", "multilinear")  # these formulas do not depend on their own input
            recorded = f"f{i}({arguments})" if linear else f"connected(f{i}, {arguments})"
        raw_results.append(f"None if e{i} is None else {call}")
        recorded_results.append(f"None if e{i} is None else {recorded}")
    large = [slot for slot, (kind, _) in saves.slots.items() if kind in ("input", "y")]
    unpack = f"{', '.join(edges)}, = n.edges"
    raw_result, recorded_result = f"({', '.join(raw_results)},)", f"({', '.join(recorded_results)},)"
    if op.variadic:  # one formula gives the cotangents of all inputs, and may read their shapes
        unpack, raw_result, recorded_result = "e0 = n", raw_results[0], recorded_results[0]
    if op.outputs:
        unpack += "; g = materialize(g, n.output_metas)"
    release = "pass"
    if large:  # they may be gone already, after a backward that had no need of them
        release = f"""try:
        del {", ".join(f"n.{slot}" for slot in large)}
    except AttributeError:
        pass"""
    source = f"""
def backward(n, g, run=run):
    {unpack}
    try:
        return {raw_result}
    except (RuntimeError, AttributeError) as error:
        return recover(backward, n, g, error)
def backward_recorded(n, g):
    {unpack}
    try:
        return {recorded_result}
    except AttributeError as error:
        return recover(None, n, g, error)
def consume(n, g, run=run):
    {unpack}
    try:
        grads = {raw_result}
    except (RuntimeError, AttributeError) as error:
        return recover(consume, n, g, error)
    {release}
    return grads
def release(n):
    {release}
"""
    define(source, namespace, f"backward of {op.name}")
    members = {name: namespace[name] for name in ("backward", "consume", "backward_recorded", "release")}
    if fusion.wanted:
        fuse_formulas(op, namespace)
    if fusion.members:
        lower_formulas(op, namespace, fusion.members)
    doc = f"The node that `{op.name}` records."
    kept = (*saves.slots, "output_metas") if op.outputs else tuple(saves.slots)
    return type(
        op.node_name, (Node,), {"__slots__": kept, "__doc__": doc, "saves": large, "op": op, **members}
    )


def fuse_formulas(op: Op, namespace: dict[str, Any], below: float = math.inf) -> None:
    """Let the backward in `namespace` run each formula of an elementwise op as one kernel, where a device makes one.

    Formulas are those of fewer steps than `below`, and of `fusion.least` at least.
    """
    for i, name in enumerate(op.inputs if op.broadcasts else ()):
        formula, kinds = op.saves.formulas.get(name), [k for _, k in op.saves.arguments.get(name, ())]
        arrays = sum(k in ("g", "input", "y") for k in kinds)
        if formula is None or not fusion.least <= formula.steps < below or kinds[0] != "g":
            continue
        if all(k in ("g", "input", "y") for k in kinds[:arrays]) and all(
            k == "param" for k in kinds[arrays:]
        ):
            plain = namespace[f"r{i}"]
            asked = f"{op.python_name}_vjp_{name}", formula.fn, arrays
            namespace[f"r{i}"] = fusion.dispatched(*asked, plain, formula.steps < 2)


def lower_formulas(op: Op, namespace: dict[str, Any], members: set[str]) -> None:
    """Let the backward in `namespace` call `members` of backends that compute whole formulas."""
    for i, name in enumerate(op.inputs):
        member = f"{op.python_name}_vjp_{name}"
        if member in members and op.saves.arguments[name][0][1] == "g":
            namespace[f"r{i}"] = fusion.by_member(member, namespace[f"r{i}"])


def materialize(gs: list[Any], metas: tuple[Meta | None, ...]) -> list[Any]:
    """The cotangents of an op's outputs, zeros for missing ones; None where there is no Meta."""
    some = next(g for g in gs if g is not None)
    raw = some._raw if isinstance(some, Variable) else some
    backend = backend_of(raw)
    zeros = (
        (lambda m: wrap(backend.zeros(m.shape, m.dtype)))
        if raw is not some
        else lambda m: backend.zeros(m.shape, m.dtype)
    )
    return [zeros(m) if g is None and m is not None else g for g, m in zip(gs, metas, strict=True)]


def _recorded_argument(op: Op, slot: str, kind: str) -> str:
    """A formula's argument as a tensor that is connected to the graph."""
    if kind == "g":
        return "g"
    if kind == "y":
        return "wrap(n.y, n)"
    if kind == "input":
        return f"rewrap(n.{slot}, e{op.inputs.index(slot)})"
    return f"n.{slot}"


def connected(formula: Any, *args: Any) -> Any:
    """A recorded formula's result; where it depends on its arguments by comparisons alone, its derivative is zero.

    So the gradient of relu's gradient is 0 as in PyTorch, and no missing graph.
    """
    result = formula(*args)
    if isinstance(result, Variable) and result._edge is None and not (active and thread.mode & NO_GRAD):
        sources = [a for a in args if isinstance(a, Variable) and a._edge is not None]
        if sources:
            node = ZerosBackward0()
            node.edges, node.hooks = tuple(a._edge for a in sources), None
            node.metas = tuple((backend_of(a._raw), meta(a._raw)) for a in sources)
            result = wrap(result._raw, node)
    return result


class ZerosBackward0(Node):
    """A derivative that is zero everywhere."""

    __slots__ = ("metas",)

    def backward(self, g: Any) -> tuple[Any, ...]:
        """Zeros for each input."""
        return tuple(backend.zeros(m.shape, m.dtype) for backend, m in self.metas)

    def backward_recorded(self, g: Any) -> tuple[Any, ...]:
        """Zeros for each input."""
        return tuple(wrap(zeros) for zeros in self.backward(g))


def _rewrap(value: Any, edge: Node | None) -> Any:
    """A saved input as a tensor with its place in the graph; a Python number stays one."""
    return wrap(value, edge) if hasattr(value, "shape") else value


def _no_formula(op: str, name: str) -> Any:
    raise NoDerivativeError(f"backward: {op!r} has no derivative for input {name!r}")


def recover(backward: Any, node: Any, g: Any, error: Exception) -> Any:
    """A backward failed: its values were released, another thread was in `quiet`, or it truly did."""
    if any(not hasattr(node, slot) for slot in node.saves):
        raise GraphFreedError(
            f"backward: the saved values of {node.name()} are gone, because the graph was differentiated before "
            "(Trying to backward through the graph a second time): pass retain_graph=True to the first backward"
        ) from None
    if isinstance(error, RuntimeError) and "enter context" in str(error):
        return backward(node, g, run=quiet.run_anyway)
    raise error


# --- calls -------------------------------------------------------------------------------------------------


def make_call(op: Op, inference: bool = False) -> Any:
    """The function that calls `op` on tensors in the ordinary case: inputs of one dtype, which is the result's.

    For `inference` mode it makes inference tensors, and never records.
    """
    namespace: dict[str, Any] = {
        "general": op.general, "kernels": op.kernels, "REAL": REAL, "FLOAT32": float32.numpy, "active": active, "thread": thread,
        "meta": meta, "run": quiet.run, "as_array": as_array, "new": object.__new__, "special": op.special, "follow": follow,
        "Tensor": Variable._inference if inference else Variable._result,
        "_Node": op.node if op.formulas else None, "share": share, "op": op,
        "_Adapted": op.adapted_node if op.formulas and op.broadcasts and len(op.inputs) > 1 else None,
        "EXACT": REAL if op.result == "float" else _EXACT[op.operands], "INTEGERS": INTEGERS,
        **{f"default_{p}": value for p, value in op.params.items()},
    }  # fmt: skip
    inputs, arity = op.inputs, len(op.inputs)
    edges, raws = [f"_edge{i}" for i in range(arity)], [f"_raw{i}" for i in range(arity)]
    record = ["_out._edge = None"]
    if op.formulas:
        record = [
            f"if {' and '.join(f'{e} is None' for e in edges)} or (active and thread.mode & {NO_GRAD}):",
            "    _out._edge = None",
            "    return _out",
            *(_broadcast_node(raws) if op.broadcasts and arity > 1 else ["_out._edge = _n = _Node()"]),
            f"_n.edges = ({', '.join(edges)},)",
            "_n.hooks = None",
            *op.saves.fill(raws, edges),
        ]
    if op.view:
        record = [f"share({inputs[0]}, _out, op, ({''.join(f'{p}, ' for p in op.params)}))", *record]
    operands = (
        _one_operand(op) if arity == 1
        else _elementwise_operands(op) if op.broadcasts and (arity > 2 or len(op.promotes) < arity)
        else _two_or_numbers(op) if op.broadcasts
        else _operands_alike(op)
    )  # fmt: skip
    enter = [
        f"    if active and thread.mode & {SPECIAL}:",
        f"        return special({', '.join([*inputs, *op.params])})",
    ]
    if inference:
        enter, record = [], record[:1] if op.view else []
        if op.view:  # and no copy
            record.append(f"if hasattr(_out, '_view'): follow(_out, {inputs[0]})")
        for edge, name in zip(edges, inputs):
            operands = [line.replace(f"; {edge} = {name}._edge", "") for line in operands]
    lines = [
        f"def {op.python_name}({', '.join([*inputs, *(f'{p}=default_{p}' for p in op.params)])}):",
        *enter,
        "    try:",
        *(f"        {line}" for line in operands),
        f"        _t = type(_x); y = run(kernels[_t], {', '.join([*raws, *op.params])})",
        "    except Exception:",
        f"        return general({', '.join([*inputs, *op.params])})",
        "    if type(y) is not _t:",
        "        y = as_array(y)",
        *_dtype_check(op),
        "    _out = new(Tensor)",
        "    _out._raw = y",
        *(f"    {line}" for line in record),
        "    return _out",
    ]
    return define("\n".join(lines), namespace, f"call of {op.name}")[op.python_name]


def _dtype_check(op: Op) -> list[str]:
    """Of a library's op: where its kernel gave another dtype than asked for, the general path converts."""
    if "::" not in op.name or op.result not in ("same", "float"):
        return []
    return [f"    if y.dtype != _d: return general({', '.join([*op.inputs, *op.params])})"]


def _broadcast_node(raws: list[str]) -> list[str]:
    """The node; where the shapes differ, one that undoes the broadcasting."""
    return [
        "if _alike:",
        "    _n = _Node()",
        "else:",
        f"    _n = _Adapted(); _n.input_metas = {', '.join(f'meta({r})' for r in raws)}; _n.conjugate = False",
        "_out._edge = _n",
    ]


#: float32 is asked about first, since a look into a set costs 0.04 µs.
_UNCOMMON = "_d is not FLOAT32 and _d not in EXACT"


def _one_operand(op: Op) -> list[str]:
    a = op.inputs[0]
    return [f"_x = _raw0 = {a}._raw; _d = _x.dtype; _edge0 = {a}._edge", f"if {_UNCOMMON}: raise TypeError"]


def _operands_alike(op: Op) -> list[str]:
    """The statements that find `_raw0`, …, `_x` among them, and their edges, of tensors of one dtype."""
    a, *others = op.inputs
    rest = [(f"_raw{i}", f"_edge{i}", name) for i, name in enumerate(others, 1)]
    unlike = " or ".join(f"type({r}) is not type(_x) or {r}.dtype is not _d" for r, _, _ in rest)
    return [
        f"_x = _raw0 = {a}._raw; _d = _x.dtype; _edge0 = {a}._edge",
        *(f"{r} = {name}._raw; {e} = {name}._edge" for r, e, name in rest),
        f"if {_UNCOMMON} or {unlike}: raise TypeError",
    ]


def _two_or_numbers(op: Op) -> list[str]:
    """The same of two tensors alike, or a tensor and a Python number; `_alike` says whether shapes are."""
    a, b = op.inputs
    return [
        f"_ta = type({a}); _tb = type({b})",
        "if _tb is float or _tb is int:",
        f"    _x = _raw0 = {a}._raw; _d = _x.dtype; _edge0 = {a}._edge; _edge1 = None; _alike = True",
        *(f"    {line}" for line in _number(op, "_raw1", b, "_tb")),
        "elif _ta is float or _ta is int:",
        f"    _x = _raw1 = {b}._raw; _d = _x.dtype; _edge1 = {b}._edge; _edge0 = None; _alike = True",
        *(f"    {line}" for line in _number(op, "_raw0", a, "_ta")),
        "else:",
        *(f"    {line}" for line in _operands_alike(op)),
        "    _alike = _raw1.shape == _x.shape",
    ]


def _number(op: Op, raw: str, name: str, kind: str) -> list[str]:
    """The statements that make a number fit for an array of dtype `_d`."""
    # NumPy takes a float 0.1 µs faster than an int.
    whole = f"elif {kind} is int and _d in INTEGERS: {raw} = {name}"
    return [
        f"if _d is FLOAT32 or _d in REAL: {raw} = {name} if {kind} is float else float({name})",
        *([whole] if op.result in ("same", "bool") else []),
        "else: raise TypeError",
    ]


def _elementwise_operands(op: Op) -> list[str]:
    """The same of more tensors, of which some do not take part in promotion, and numbers, of a real dtype."""
    lines, arrays = [], []
    for i, name in enumerate(op.inputs):
        raw, edge = f"_raw{i}", f"_edge{i}"
        if name in op.promotes:
            lines += [
                f"_k = type({name})",
                f"if _k is float or _k is int: {raw} = float({name}); {edge} = None",
                f"else: {raw} = {name}._raw; {edge} = {name}._edge",
            ]
            arrays.append(raw)
        else:
            lines.append(f"{raw} = {name}._raw; {edge} = {name}._edge")
    leader = "".join(f"{r} if type({r}) is not float else " for r in arrays[:-1]) + arrays[-1]
    lines += [
        f"_x = {leader}; _d = _x.dtype; _s = _x.shape; _alike = True",
        "if _d is not FLOAT32 and _d not in REAL: raise TypeError",
    ]
    for i, name in enumerate(op.inputs):
        raw = f"_raw{i}"
        if name in op.promotes:
            lines += [
                f"if type({raw}) is not float:",
                f"    if type({raw}) is not type(_x) or {raw}.dtype is not _d: raise TypeError",
                f"    if {raw}.shape != _s: _alike = False",
            ]
        else:
            lines += [
                f"if type({raw}) is not type(_x): raise TypeError",
                f"if {raw}.shape != _s: _alike = False",
            ]
    return lines
