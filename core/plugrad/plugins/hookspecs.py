"""The hooks of plugrad: a plugin implements those it needs, marked with ``plugrad.plugins.hookimpl``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from .specs import BackendSpec, KernelSpec, OpSpec

hookspec = pluggy.HookspecMarker("plugrad")
hookimpl = pluggy.HookimplMarker("plugrad")


@hookspec
def plugrad_backends() -> list[BackendSpec]:  # type: ignore[empty-body]
    """Return the backends that this plugin offers, one for each device type."""


@hookspec
def plugrad_ops() -> list[OpSpec]:  # type: ignore[empty-body]
    """Return the operators that this plugin offers."""


@hookspec
def plugrad_kernels() -> list[KernelSpec]:  # type: ignore[empty-body]
    """Return the kernels that this plugin offers for operators, its own or others'."""
