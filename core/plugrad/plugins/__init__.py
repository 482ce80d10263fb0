"""Plugins: backends, operators and kernels, found through the entry-point group ``plugrad``.

A plugin is a thin module of hook implementations that return specs, and imports nothing heavy itself:

    from plugrad.plugins import BackendSpec, hookimpl

    @hookimpl
    def plugrad_backends():
        return [BackendSpec("banana", "acme.backend:BananaBackend", requires=("bananalib",))]

Importing this package reads no plugin and imports no plugin machinery; the first question does.
The environment has a say: ``PLUGRAD_DISABLE_PLUGINS`` holds names of plugins that are not to be imported,
or ``*`` for all of other distributions; ``PLUGRAD_PLUGINS`` the names of the only ones of those that may; with
``PLUGRAD_STRICT_PLUGINS=1`` a plugin that fails raises PluginError instead of a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .hookspecs import hookimpl as hookimpl
    from .loader import PluginRecord as PluginRecord
    from .registry import Registry as Registry
    from .specs import BackendSpec as BackendSpec
    from .specs import CheckSpec as CheckSpec
    from .specs import CommandSpec as CommandSpec
    from .specs import KernelSpec as KernelSpec
    from .specs import OpSpec as OpSpec
    from .specs import Spec

# Imported when first asked for, as in the functions below: `import plugrad` must not pay for plugins.
_HOMES = {
    "BackendSpec": "specs",
    "CheckSpec": "specs",
    "CommandSpec": "specs",
    "OpSpec": "specs",
    "KernelSpec": "specs",
    "hookimpl": "hookspecs",
    "PluginRecord": "loader",
    "Registry": "registry",
}

#: Called after a plugin was registered by hand, or a device came to others: to forget what was found without it.
ON_REGISTER: list[Callable[[], None]] = []

#: Names in `plugrad.ops` that are no operator libraries; filled there.
RESERVED_LIBRARIES: set[str] = set()


def find_backend(device_type: str) -> BackendSpec:
    """The backend of a device type; raises DeviceError with the reason where there is none."""
    return installed().find_backend(device_type)


def find_backend_for_array(array_type: type) -> BackendSpec | None:
    """The backend whose raw arrays are of this type or a base of it; None where no plugin claims it."""
    return installed().find_backend_for_array(array_type)


def backend_specs(all: bool = False) -> list[BackendSpec]:
    """plugrad's own backends; with ``all`` those of every plugin. Backends are not imported."""
    return installed().backend_specs(all)


def find_op(name: str) -> OpSpec:
    """The plugin's declaration of an operator "library::name"; raises PluginError where there is none."""
    return installed().find_op(name)


def kernels_for(op: str, device_type: str) -> list[tuple[KernelSpec, PluginRecord]]:
    """Every plugin's kernel of an operator for a device type, each with its plugin; reads all plugins."""
    return installed().kernels_for(op, device_type)


def commands() -> list[tuple[CommandSpec, PluginRecord]]:
    """The commands that plugins add to the command line, each with its plugin; reads all plugins."""
    return installed().commands()


def checks() -> list[tuple[CheckSpec, PluginRecord]]:
    """The checks that plugins ask the doctor for, each with its plugin; reads all plugins."""
    return installed().checks()


def records() -> list[PluginRecord]:
    """Every plugin, loaded or not, with its specs and its error; reads the plugins that were not read yet."""
    return installed().records()


def register(plugin: object) -> PluginRecord:
    """Add a plugin, a module or an object, by hand; raises PluginError where it cannot be used."""
    record = installed().register(plugin)
    forget()
    return record


def forget() -> None:
    """Let everybody look anew for what was found among the plugins and devices that there were."""
    for function in ON_REGISTER:
        function()


def load(spec: Spec) -> object:
    """Import what a spec names; raises DeviceError (PluginError for an operator) with what is missing."""
    from .targets import load

    return load(spec)


def installed() -> Registry:
    """The registry of this process, for the questions that have no function here."""
    from .registry import REGISTRY

    return REGISTRY


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
