"""The hooks of plugrad: a plugin implements those it needs, marked with ``plugrad.plugins.hookimpl``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from .loader import PluginRecord
    from .specs import BackendSpec, CheckSpec, CommandSpec, KernelSpec, OpSpec

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


@hookspec
def plugrad_commands() -> list[CommandSpec]:  # type: ignore[empty-body]
    """Return the commands that this plugin adds to the command line."""


@hookspec
def plugrad_doctor_checks() -> list[CheckSpec]:  # type: ignore[empty-body]
    """Return the checks that `plugrad plugins doctor` is to make for this plugin."""


@hookspec
def plugrad_default_device() -> str | None:
    """Return the device of new tensors for users who chose the default device "auto", or None for no opinion."""


@hookspec(historic=True)
def plugrad_registered(record: PluginRecord) -> None:
    """Be told of every plugin that plugrad reads, usable or not, those read before this one included."""
