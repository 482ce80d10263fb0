"""`plugrad.ops.LIBRARY.NAME`: the operators of plugins, imported at first use, and those that the program declares."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .. import plugins
from ..errors import PluginError, PluginWarning
from ..op import OPS, Composite, Op
from ..plugins import KernelSpec, OpSpec
from ..plugins.registry import STAGES


class Library:
    """The operators "library::name" of one library, as attributes; what a plugin offers is imported at first use."""

    def __init__(self, library: str) -> None:
        self.__name__ = library

    def __getattr__(self, name: str) -> Any:
        full = f"{self.__name__}::{name}"
        if name.startswith("__"):
            raise AttributeError(f"{self!r} has no attribute {name!r}")
        registry = plugins.installed()
        if full in OPS and not registry.is_contested(full):
            return OPS[full]  # not kept: it may be declared anew
        try:
            spec = registry.find_op(full)
        except PluginError as error:
            if registry.is_contested(full):
                raise
            raise AttributeError(str(error)) from error.__cause__
        found = _loaded(spec)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        offered = [spec.name for spec in plugins.installed().library(self.__name__)]
        return sorted(name.partition("::")[2] for name in {*offered, *_declared(self.__name__)})

    def __repr__(self) -> str:
        return f"<operators of {self.__name__!r}>"


class FunctionOp:
    """An operator that is a `Function`: called, it is `function.apply`."""

    def __init__(self, name: str, function: Any) -> None:
        #: The subclass of `Function`.
        self.function = function
        self.name, self.__doc__ = name, function.__doc__

    def __call__(self, *args: Any) -> Any:
        return self.function.apply(*args)

    def __repr__(self) -> str:
        return f"<op {self.name}, a Function>"


def find(name: str) -> Library:
    """The namespace of a library; AttributeError with the reason where nobody offers an operator of it."""
    if not _declared(name) and not plugins.installed().library(name):
        error = plugins.installed().unknown_library(name)
        raise AttributeError(f"module 'plugrad.ops' has no attribute {name!r}: {error}") from error.__cause__
    return Library(name)


def names() -> set[str]:
    """The libraries that plugins offer, or the program itself."""
    offered = [spec.name for spec in plugins.installed().op_specs(all=True)]
    return {name.partition("::")[0] for name in [*offered, *OPS] if "::" in name}


def _declared(library: str) -> list[str]:
    return [name for name in OPS if name.startswith(f"{library}::")]


def _loaded(spec: OpSpec) -> Callable[..., Any]:
    """The operator that a spec names; PluginError where its module fails or holds something else."""
    before = set(OPS)
    try:
        target = plugins.load(spec)
    except PluginError:
        # What a module declared before it failed would hide the cause at the next try: "declared twice".
        for name in _declared(spec.name.partition("::")[0]):
            if name not in before:
                del OPS[name]
        raise
    if isinstance(target, Op | Composite):
        if target.name != spec.name:
            raise PluginError(
                f"{spec.what}: {spec.target!r} is {target!r}: declare it under the name that the plugin's spec gives"
            )
        return target
    _warn_of_kernels(spec, target)
    if isinstance(target, type) and hasattr(target, "apply"):
        return FunctionOp(spec.name, target)
    if isinstance(target, type) or not callable(target):
        raise PluginError(
            f"{spec.what}: {spec.target!r} is {target!r}: name an op, a composite, a subclass of Function, "
            "or a function of tensors"
        )
    return target


def _warn_of_kernels(spec: OpSpec, target: object) -> None:
    """Say so where a plugin offers kernels for what has none."""
    for record in plugins.installed().known(*STAGES):
        for kernel in record.offered(KernelSpec):
            if kernel.op == spec.name:
                warnings.warn(
                    f"{record.title}: its {kernel.what} is never used, since {target!r} is no op of one node: "
                    "declare it with formulas",
                    PluginWarning,
                    stacklevel=4,
                )
