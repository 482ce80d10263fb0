"""What anomaly mode does: look for NaN in what ops and their derivatives return, and say where the op was called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .backend import BY_ARRAY, as_array
from .graph import Node, Port, Variable, wrap
from .modes import ANOMALY, active, set_mode, thread, tidy
from .strict import user_frame, user_place


def has_nan(value: Any) -> bool:
    """Whether a raw array, a tensor or a number holds a NaN."""
    if not isinstance(value, Variable):
        if not hasattr(value, "dtype"):
            return value != value
        value = wrap(as_array(value))
    tensor: Any = value
    if BY_ARRAY[type(tensor._raw)].is_transform:  # the ops on what is in there are looked at themselves
        return False
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return False
    was = thread.mode
    try:
        set_mode(0)
        return tensor.isnan().any().item()
    finally:
        thread.mode = was  # in one step: see `tidy`
        tidy()


def after_forward(name: str, inputs: Iterable[Any], outputs: Iterable[Any], node: Node | None) -> None:
    """Keep where the node was recorded, and raise if the op made a NaN of numbers."""
    trace = _user_frames()
    if node is not None:
        node = node.node if isinstance(node, Port) else node
        node.metadata["traceback_"], node.metadata["source"] = trace, user_place()
    if thread.anomaly_checks_nan and any(map(has_nan, outputs)) and not any(map(has_nan, inputs)):
        raise RuntimeError(
            f"Function '{name}' returned nan values in its forward, from inputs without nan. It was called here:\n{_text(trace)}"
        )


def _user_frames() -> list[str]:
    """The stack as text, a string a frame, without the frames of plugrad itself."""
    import traceback

    return traceback.format_list(traceback.extract_stack(user_frame()))


def _text(trace: list[str]) -> str:
    return "".join(trace).rstrip()


def watch(nodes: Iterable[Node]) -> None:
    """Have the nodes, which a backward is about to call, look at what they return."""
    for node in nodes:
        cls = type(node)
        if node.edges and not getattr(cls, "_is_watched", False):  # leaves return nothing
            if cls not in _WATCHING:
                members: dict[str, Any] = {n: _watched(cls, n) for n in cls.methods()}
                members.update(__slots__=(), __doc__=cls.__doc__, _is_watched=True)
                _WATCHING[cls] = type(cls.__name__, (cls,), members)
            node.__class__ = _WATCHING[cls]


_WATCHING: dict[type[Node], type[Node]] = {}


def _watched(cls: type[Node], name: str) -> Callable[..., Any]:
    method = getattr(cls, name)

    def call(node: Node, g: Any) -> tuple[Any, ...]:
        if not (active and thread.mode & ANOMALY):  # a later backward, outside of the mode
            return method(node, g)
        trace = node.metadata.get("traceback_")
        where = (
            f" Traceback of forward call that caused the error:\n{_text(trace)}"
            if trace
            else " No forward pass information: enable anomaly detection during the forward pass, too, to see the line"
        )
        try:
            grads = method(node, g)
        except RuntimeError as error:
            if type(error) is RuntimeError:
                raise RuntimeError(f"{error}\nError detected in {node.name()}.{where}") from error
            error.add_note(f"Error detected in {node.name()}.{where}")
            raise
        except Exception as error:  # of a class that may take other arguments
            error.add_note(f"Error detected in {node.name()}.{where}")
            raise
        for i, x in enumerate(grads):
            if thread.anomaly_checks_nan and x is not None and type(x) is not list and has_nan(x):
                raise RuntimeError(
                    f"Function '{node.name()}' returned nan values in its {i}th output.{where}"
                )
        return grads

    return call
