"""cuDNN's frontend as NumPy: the names that plugrad uses of the real module `cudnn`, with its signatures and order of calls;
a described graph is executed on addresses of the host's memory.

It refuses what cuDNN refuses: operands that begin anywhere, shapes that do not fit, calls out of order, and what `refuses`
says. Of its plans some are not to be used: which one was executed, each graph tells.
"""

from __future__ import annotations

import enum
import itertools
from typing import Any

import numpy as np

from .arrays import single, stored

data_type = enum.Enum("data_type", "NOT_SET HALF BFLOAT16 FLOAT DOUBLE")
heur_mode = enum.Enum("heur_mode", "A B FALLBACK OPENSOURCE")
numerical_note = enum.Enum(
    "numerical_note",
    "TENSOR_CORE DOWN_CONVERT_INPUTS REDUCED_PRECISION_REDUCTION FFT NONDETERMINISTIC WINOGRAD WINOGRAD_TILE_4x4 "
    "WINOGRAD_TILE_6x6 WINOGRAD_TILE_13x13 STRICT_NAN_PROP",
)
NAMES = {data_type.HALF: "float16", data_type.BFLOAT16: "bfloat16", data_type.FLOAT: "float32"}
note = numerical_note
#: What the heuristics offer, best first: notes, and bytes of workspace.
PLANS: list[tuple[frozenset[Any], int]] = [
    (frozenset([note.NONDETERMINISTIC, note.TENSOR_CORE]), 64),
    (frozenset([note.WINOGRAD, note.WINOGRAD_TILE_4x4]), 64),
    (frozenset([note.TENSOR_CORE]), 1 << 40),
    (frozenset([note.TENSOR_CORE]), 256),
    (frozenset(), 0),
]


class cudnnGraphNotSupportedError(Exception):
    """No plan."""


class Handle:
    """What executes, on a stream."""

    stream: int | None = None


class Tensor:
    """Dimensions, strides and dtype of an operand or a result."""

    def __init__(self, dim: Any, stride: Any, data_type: Any, name: str, uid: int | None) -> None:
        self.dim, self.stride, self.data_type, self.name, self.uid = dim, stride, data_type, name, uid
        self.is_virtual = False

    def set_output(self, value: bool) -> Tensor:
        self.is_virtual = not value
        return self

    def set_data_type(self, dtype: Any) -> Tensor:
        self.data_type = dtype
        return self

    def set_dim(self, dim: Any) -> Tensor:
        self.dim = list(dim)
        return self

    def set_stride(self, stride: Any) -> Tensor:
        self.stride = list(stride)
        return self

    def set_uid(self, uid: int) -> Tensor:
        self.uid = uid
        return self

    def array(self, address: int) -> np.ndarray:
        """The memory there, as described."""
        assert address % 16 == 0, "cuDNN's kernels expect an alignment of 16 bytes"
        raw = np.dtype(np.uint16 if self.data_type is data_type.BFLOAT16 else NAMES[self.data_type])

        class Interface:
            __array_interface__ = {  # noqa: RUF012
                "data": (address, False), "shape": tuple(self.dim), "typestr": raw.str, "version": 3,
                "strides": tuple(raw.itemsize * s for s in self.stride),
            }  # fmt: skip

        return np.asarray(Interface())


class Node:
    """An operation."""

    def __init__(self, name: str, inputs: dict[str, Tensor], output: Tensor, params: dict[str, Any]) -> None:
        self.name, self.inputs, self.outputs, self.params = name, inputs, {"": output}, params
        self.compute_data_type: Any = None


class pygraph:
    """A graph of one convolution."""

    STEPS = (
        "validate", "build_operation_graph", "create_execution_plans", "deselect_numeric_notes",
        "deselect_workspace_greater_than", "check_support", "build_plans", "get_workspace_size", "execute",
    )  # fmt: skip

    def __init__(
        self, name: str = "test_graph", io_data_type: Any = None, intermediate_data_type: Any = None,
        compute_data_type: Any = None, handle: Any = None,
    ) -> None:  # fmt: skip
        self.name, self.handle, self.done = name, handle, 0
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        self.barred: set[Any] = set()
        self.limit, self.plans, self.executed = 1 << 62, [*PLANS], 0
        assert (intermediate_data_type, compute_data_type) == (data_type.FLOAT, data_type.FLOAT)

    def tensor(
        self, dim: Any, stride: Any = None, data_type: Any = None, *, name: str = "", uid: int | None = None
    ) -> Tensor:
        made = Tensor(list(dim), list(stride), data_type, name, uid)
        self.tensors.append(made)
        return made

    def _operation(self, kind: str, ports: Any, tensors: Any, name: str, compute: Any, params: Any) -> Tensor:
        assert len(tensors) == len(ports) and set(params) <= {
            "padding", "pre_padding", "post_padding", "stride", "dilation", "convolution_mode"
        }  # fmt: skip
        y = Tensor([], [], None, name, None)
        y.is_virtual = True
        node = Node(kind, dict(zip(ports, tensors)), y, params)
        node.compute_data_type = compute
        self.nodes.append(node)
        return y

    def conv_fprop(
        self, *args: Any, name: str = "", compute_data_type: Any = None, out_dims: Any = None, **kwargs: Any
    ) -> Tensor:
        return self._operation("conv_fprop", ("image", "weight"), args, name, compute_data_type, kwargs)

    def conv_dgrad(
        self, *args: Any, name: str = "", compute_data_type: Any = None, out_dims: Any = None, **kwargs: Any
    ) -> Tensor:
        return self._operation("conv_dgrad", ("loss", "filter"), args, name, compute_data_type, kwargs)

    def conv_wgrad(
        self, *args: Any, name: str = "", compute_data_type: Any = None, out_dims: Any = None, **kwargs: Any
    ) -> Tensor:
        return self._operation("conv_wgrad", ("image", "loss"), args, name, compute_data_type, kwargs)

    # --- planning ----------------------------------------------------------------------------------------------------------

    def _step(self, name: str) -> None:
        at = self.STEPS.index(name)
        assert at == self.done or (at + 1 == self.done == len(self.STEPS)), f"{name} out of order"
        self.done = at + 1

    def validate(self) -> None:
        self._step("validate")
        image, weight, result = self.triple()
        (node,) = self.nodes
        assert all(4 <= len(t.dim) == len(t.stride) <= 5 and min(t.dim) > 0 for t in (image, weight, result))
        assert image.dim[1] % weight.dim[1] == 0 and weight.dim[0] % (image.dim[1] // weight.dim[1]) == 0
        sizes = zip(image.dim[2:], weight.dim[2:], result.dim[2:], *(node.params[p] for p in _PARAMS))
        for n, k, count, before, after, s, d in sizes:
            if (n + before + after - d * (k - 1) - 1) // s + 1 != count:
                raise ValueError("shape deduction failed")

    def build_operation_graph(self) -> None:
        self._step("build_operation_graph")

    def create_execution_plans(self, heuristics: Any = None) -> None:
        self._step("create_execution_plans")
        assert heuristics and set(heuristics) <= set(heur_mode)

    def deselect_numeric_notes(self, notes: Any) -> pygraph:
        self._step("deselect_numeric_notes")
        assert set(notes) <= set(numerical_note)
        self.barred |= set(notes)
        return self

    def deselect_workspace_greater_than(self, workspace_limit: int) -> pygraph:
        self._step("deselect_workspace_greater_than")
        self.limit = workspace_limit
        return self

    def check_support(self) -> None:
        self._step("check_support")
        self.plans = [p for p in self.plans if not p[0] & self.barred and p[1] <= self.limit]
        if not self.plans:
            raise cudnnGraphNotSupportedError("No execution plans support the graph.")

    def build_plans(self) -> None:
        self._step("build_plans")

    def get_workspace_size(self) -> int:
        self._step("get_workspace_size")
        return self.plans[0][1]

    # --- execution ---------------------------------------------------------------------------------------------------------

    def triple(self) -> Any:
        """Image, weight and result, whichever of them is computed."""
        (node,) = self.nodes
        (y,) = node.outputs.values()
        a, b = node.inputs.values()
        return {"conv_fprop": (a, b, y), "conv_dgrad": (y, b, a), "conv_wgrad": (a, y, b)}[node.name]

    def execute(self, tensor_dict: dict[int, int], workspace: Any = None, handle: Any = None) -> None:
        self._step("execute")
        assert bool(workspace) == bool(self.plans[0][1]) and handle is self.handle and handle.stream
        (node,) = self.nodes
        (y,) = node.outputs.values()
        assert not y.is_virtual and set(tensor_dict) == {y.uid, *(t.uid for t in node.inputs.values())}
        image, weight, result = (t.array(tensor_dict[t.uid]) for t in self.triple())
        name = NAMES[y.data_type]
        computed = [x if t is y else single(x) for x, t in zip((image, weight, result), self.triple())]
        target = [t is y for t in self.triple()].index(True)
        total = np.zeros(computed[target].shape)
        computed[target] = total
        _accumulate(*computed, *(node.params[p] for p in _PARAMS), target=target)  # type: ignore[misc]
        y.array(tensor_dict[y.uid])[...] = stored(total, name)
        self.executed += 1


_PARAMS = ("pre_padding", "post_padding", "stride", "dilation")


def _accumulate(
    x: np.ndarray,
    w: np.ndarray,
    z: np.ndarray,
    before: Any,
    after: Any,
    stride: Any,
    dilation: Any,
    target: int,
) -> None:
    """Σ x[n, i, s·p + d·k - before] w[o, i, k] z[n, o, p], by the definition, without what is summed into."""
    groups = x.shape[1] // w.shape[1]
    c, o = w.shape[1], w.shape[0] // groups
    for g, k in itertools.product(range(groups), np.ndindex(*w.shape[2:])):
        inside, meets = [], []
        for axis in range(len(k)):
            at = np.arange(z.shape[2 + axis]) * stride[axis] + k[axis] * dilation[axis] - before[axis]
            ok = (at >= 0) & (at < x.shape[2 + axis])
            inside.append(np.flatnonzero(ok))
            meets.append(at[ok])
        xs = np.ix_(range(len(x)), range(g * c, g * c + c), *meets)
        zs = np.ix_(range(len(x)), range(g * o, g * o + o), *inside)
        ws = (slice(g * o, g * o + o), slice(None), *k)
        if target == 2:
            z[zs] += np.einsum("ni...,oi->no...", x[xs], w[ws])
        elif target == 0:
            x[xs] += np.einsum("no...,oi->ni...", z[zs], w[ws])
        else:
            flat = x[xs].reshape(len(x), c, -1), z[zs].reshape(len(x), o, -1)
            w[ws] += np.einsum("nip,nop->oi", *flat)


class FakeCudnn:
    """The module, with a list of what was made, and what it shall refuse."""

    data_type, heur_mode, numerical_note = data_type, heur_mode, numerical_note
    cudnnGraphNotSupportedError = cudnnGraphNotSupportedError

    def __init__(self) -> None:
        self.graphs: list[pygraph] = []
        self.refuses: Any = lambda graph: None  # an exception, or None
        self.fails: Any = None

    def create_handle(self) -> Handle:
        return Handle()

    def set_stream(self, handle: Handle, stream: int) -> None:
        handle.stream = stream

    def pygraph(self, *args: Any, **kwargs: Any) -> pygraph:
        library = self

        class Graph(pygraph):
            def build_operation_graph(self) -> None:
                super().build_operation_graph()
                error = library.refuses(self)
                if error is not None:
                    raise error

            def execute(self, tensor_dict: Any, workspace: Any = None, handle: Any = None) -> None:
                if library.fails is not None:
                    raise library.fails
                super().execute(tensor_dict, workspace, handle)

        graph = Graph(*args, **kwargs)
        self.graphs.append(graph)
        return graph
