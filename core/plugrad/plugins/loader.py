"""From installed distributions to plugin records: every failure is caught, kept and told.

The loop is our own, distribution by distribution: ``importlib.metadata.entry_points()`` and pluggy's loader
both stop for everybody at the first broken one.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import metadata
from typing import Any, Literal, TypeVar

import pluggy

from ..errors import PluginError
from . import hookspecs
from .output import kept_output
from .specs import API, BackendSpec, CheckSpec, CommandSpec, KernelSpec, OpSpec, Spec

GROUP = "plugrad"
OWN_DISTRIBUTION = "plugrad"
HOOKS = {
    "plugrad_backends": BackendSpec,
    "plugrad_ops": OpSpec,
    "plugrad_kernels": KernelSpec,
    "plugrad_commands": CommandSpec,
    "plugrad_doctor_checks": CheckSpec,
}
"""The hooks that return lists, and of what; the others are `plugrad_default_device` and `plugrad_registered`."""
OTHER_HOOKS = ("plugrad_default_device", "plugrad_registered")


S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class PluginRecord:
    """One plugin: where it comes from, what it offers, and what went wrong.

    ``specs``, ``default_device`` and ``listeners`` may be used only where ``state`` is "loaded"; ``rejected``
    tells what was refused of it and why, ``output`` what it printed when it was imported.
    """

    name: str
    distribution: str
    value: str
    state: Literal["loaded", "failed", "disabled", "incompatible"]
    specs: tuple[Spec, ...] = ()
    error: BaseException | None = None
    traceback_text: str = ""
    rejected: tuple[str, ...] = ()
    default_device: str | None = None
    listeners: tuple[Callable[..., object], ...] = field(default=(), repr=False, compare=False)
    output: str = field(default="", repr=False, compare=False)

    @property
    def title(self) -> str:
        """The plugin and its distribution, as error messages call them."""
        return f"plugin {self.name!r} ({self.distribution})"

    @property
    def backends(self) -> list[BackendSpec]:
        """The backends that may be used: none unless the plugin is loaded."""
        return self.offered(BackendSpec)

    def offered(self, kind: type[S]) -> list[S]:
        """The specs of one kind that may be used: none unless the plugin is loaded."""
        return [spec for spec in self.specs if isinstance(spec, kind) and self.state == "loaded"]

    def __str__(self) -> str:
        if self.error is None:
            return f"{self.title} is {self.state}"
        if self.state == "failed":
            return f"{self.title} failed to load: {describe(self.error)}"
        return f"{self.title} is {self.state}: {self.error}"


def describe(error: BaseException) -> str:
    """The class and the message of an exception, on whose ``__str__`` nobody can rely."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__} (its message cannot be printed)"


def own_distributions() -> list[metadata.Distribution]:
    """plugrad's own distribution; none where it runs from a checkout that is not installed."""
    try:
        return [metadata.distribution(OWN_DISTRIBUTION)]
    except metadata.PackageNotFoundError:
        return []


def other_distributions() -> list[metadata.Distribution]:
    """All other installed distributions that declare plugins, sorted by name."""
    found: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        if _declares_plugins(distribution):
            name = re.sub(r"[-_.]+", "-", _name(distribution)).lower()
            found.setdefault(name, distribution)  # the first on the path wins, as it does for imports
    found.pop(OWN_DISTRIBUTION, None)
    return [found[name] for name in sorted(found)]


def read_distribution(distribution: metadata.Distribution, own: bool) -> Iterator[PluginRecord]:
    """Load the plugins of one distribution that the environment allows, sorted by name."""
    title = _title(distribution)
    try:
        found = distribution.entry_points.select(group=GROUP)
        entries = [(entry.name, entry.value, entry.load) for entry in found]
    except Exception as error:  # its plugins cannot even be listed: one that fails stands for them
        entries = [(_name(distribution), "entry_points.txt", partial(_raise, error))]
    for name, value, load in sorted(entries, key=lambda entry: entry[:2]):
        reason = _why_disabled(name, own)
        if reason:
            yield PluginRecord(name, title, value, "disabled", error=PluginError(reason))
        else:
            yield read_plugin(name, title, value, load)


def read_plugin(name: str, distribution: str, value: str, load: Callable[[], object]) -> PluginRecord:
    """Import one plugin and take its specs; what it raises or prints, ``sys.exit`` included, ends up in its record."""
    record = PluginRecord(name, distribution, value, "failed")
    with kept_output() as output:
        try:
            record = replace(record, state="loaded", **collect(load()))
        except (Exception, SystemExit) as error:
            record = replace(record, error=error, traceback_text=traceback.format_exc())
    record = replace(record, output=output.text)
    for spec in record.specs:
        if spec.api[0] != API[0] or spec.api[1] > API[1]:
            theirs, ours = ("{}.{}".format(*api) for api in (spec.api, API))
            cure = "upgrade plugrad" if spec.api > API else "upgrade the plugin"
            reason = f"it offers {spec.what} for plugin API {theirs}, this plugrad has {ours}: {cure}"
            return replace(record, state="incompatible", error=PluginError(reason))
    return record


def collect(plugin: object) -> dict[str, Any]:
    """What a plugin's hooks return, as fields of its record.

    Each plugin has a pluggy manager of its own, so that one that fails leaves nothing behind for the others.
    """
    manager = pluggy.PluginManager("plugrad")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    callers = manager.get_hookcallers(plugin)
    if not callers:
        raise PluginError("it implements no hook: mark its functions with @plugrad.plugins.hookimpl")
    specs: list[Spec] = []
    default, listeners = None, []
    for caller in callers:
        for implementation in caller.get_hookimpls():
            if caller.name in HOOKS:
                specs += _checked(caller.name, implementation.function())
            elif caller.name == "plugrad_default_device":
                default = _checked_device(implementation.function())
            elif caller.name == "plugrad_registered":
                # As pluggy does it, by name: the implementation may leave the argument out.
                listeners.append(partial(_tell, implementation.function, implementation.argnames))
            elif not implementation.optionalhook:
                known = ", ".join(map(repr, (*HOOKS, *OTHER_HOOKS)))
                raise PluginError(f"it implements {caller.name!r}, but the hooks of plugrad are {known}")
    offered: set[str] = set()
    for spec in specs:
        if spec.what in offered:
            raise PluginError(f"it offers {spec.what} more than once: return one spec for it")
        offered.add(spec.what)
    return {"specs": tuple(specs), "default_device": default, "listeners": tuple(listeners)}


def _tell(listener: Callable[..., object], names: tuple[str, ...], record: PluginRecord) -> object:
    return listener(*[record for _ in names])


def _checked_device(device: object) -> str | None:
    cure = "return a device such as 'cuda' or 'cuda:1', or None"
    if device is not None and not isinstance(device, str):
        raise TypeError(f"plugrad_default_device returned a {type(device).__name__}, {device!r}: {cure}")
    if device is not None and not re.fullmatch(r"[a-z][a-z0-9_]*(:(0|[1-9][0-9]*))?", device):
        raise ValueError(f"plugrad_default_device returned {device!r}: {cure}")
    return device


def _checked(hook: str, result: object) -> list[Spec]:
    kind = HOOKS[hook]
    cure = f"return a list of {kind.__name__}"
    if not isinstance(result, list | tuple):
        raise TypeError(f"{hook} returned a {type(result).__name__}, {result!r}: {cure}")
    for spec in result:
        if not isinstance(spec, kind):
            raise TypeError(f"{hook} returned a list with {spec!r} in it: {cure}")
    return list(result)


def _raise(error: Exception) -> None:
    raise error


def _why_disabled(name: str, own: bool) -> str:
    """Why the environment keeps a plugin from being imported; empty where it does not.

    ``*`` and the allow-list speak of other distributions' plugins; plugrad's own are disabled only by name.
    """
    disabled = _listed("PLUGRAD_DISABLE_PLUGINS")
    allowed = _listed("PLUGRAD_PLUGINS")
    if name in disabled:
        return "the environment variable PLUGRAD_DISABLE_PLUGINS names it"
    if "*" in disabled and not own:
        return "the environment variable PLUGRAD_DISABLE_PLUGINS is '*'"
    if allowed and name not in allowed and not own:
        return "the environment variable PLUGRAD_PLUGINS does not name it"
    return ""


def _listed(variable: str) -> set[str]:
    return {name.strip() for name in os.environ.get(variable, "").split(",")} - {""}


def _declares_plugins(distribution: metadata.Distribution) -> bool:
    try:
        return f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or "")
    except Exception:  # not even text: nobody's entry points
        return False


def _name(distribution: metadata.Distribution) -> str:
    try:
        return distribution.name or ""
    except Exception:  # what an interrupted installation leaves behind has no metadata
        return ""


def _title(distribution: metadata.Distribution) -> str:
    name = _name(distribution)
    return f"{name} {distribution.version}" if name else "a distribution without metadata"
