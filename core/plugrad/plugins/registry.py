"""Which plugin answers for a device, an array type, an operator or a kernel: plugrad's own first, then strangers."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import Distribution
from typing import TypeVar

from ..errors import DeviceError, PluginError, PluginWarning
from . import RESERVED_LIBRARIES, output
from .listeners import Listeners, is_strict
from .loader import (
    PluginRecord,
    other_distributions,
    own_distributions,
    read_distribution,
    read_plugin,
)
from .specs import RESERVED_DEVICES, BackendSpec, CheckSpec, CommandSpec, KernelSpec, OpSpec, Spec

STAGES = ("by hand", "own", "others")
"""Where a look-up asks, in this order; the first stage with an answer ends it, so later ones stay unread."""

BY_HAND = "registered by hand"
"""What stands for the distribution of a plugin that a program registered itself."""

S = TypeVar("S", bound=Spec)
E = TypeVar("E", bound=RuntimeError)


class Registry:
    """All plugins that were read so far; each stage is read at most once, under one lock.

    ``own`` and ``others`` return the distributions to read, and are called when their stage is first asked.
    """

    def __init__(
        self,
        own: Callable[[], Iterable[Distribution]] = own_distributions,
        others: Callable[[], Iterable[Distribution]] = other_distributions,
    ) -> None:
        self._sources = {"own": own, "others": others}
        self._stages: dict[str, list[PluginRecord]] = {"by hand": []}
        self._reading: dict[str, int] = {}  # the thread that discovers a stage at this moment
        self._lock = threading.RLock()  # a plugin may look something up while it is imported
        self._listeners = Listeners()
        _registries.add(self)

    # --- devices --------------------------------------------------------------------------------------------

    def find_backend(self, device_type: str) -> BackendSpec:
        """The backend of a device type; raises DeviceError with the reason where there is none."""
        # A built-in device is never sought among strangers, not even while plugrad's own plugin is broken.
        stages = ("own",) if device_type in RESERVED_DEVICES else STAGES
        with self._lock:
            what = f"device {device_type!r}"
            spec = self._search(BackendSpec, what, [device_type], lambda spec: (spec.device_type,), stages)
            if spec is not None:
                return spec
            known = dict.fromkeys(repr(spec.device_type) for spec in self._offered(BackendSpec, stages))
            known_text = ", ".join(known) or "no device"
            raise self._unknown(DeviceError, what, device_type, known_text, stages)

    def find_backend_for_array(self, array_type: type) -> BackendSpec | None:
        """The backend whose arrays are of this type or a base of it; None where no plugin claims it."""
        names = [f"{base.__module__}:{base.__qualname__}" for base in array_type.__mro__]
        with self._lock:
            what = f"array type {names[0]!r}"
            return self._search(BackendSpec, what, names, lambda spec: spec.array_types, STAGES)

    def backend_specs(self, all: bool = False) -> list[BackendSpec]:
        """plugrad's own backends; with ``all`` those of every plugin, which imports the plugins."""
        with self._lock:
            self._check_installed("no device can be listed", DeviceError)
            return self._offered(BackendSpec, STAGES if all else ("own",))

    def default_device(self) -> str:
        """The device that plugins propose as the default; "cpu" where none does, PluginError where they disagree."""
        with self._lock:
            for stage in ("by hand", "others"):
                claims = [r for r in self._read(stage) if r.state == "loaded" and r.default_device]
                devices = sorted({record.default_device or "" for record in claims})
                if len(devices) > 1:
                    rivals = " and ".join(f"{record.title} ({record.default_device!r})" for record in claims)
                    raise PluginError(
                        f"default device 'auto': {rivals} disagree: name the device by plugrad.set_default_device"
                    )
                if devices:
                    return devices[0]
        return "cpu"

    # --- operators and kernels ------------------------------------------------------------------------------

    def find_op(self, name: str) -> OpSpec:
        """The plugin's declaration of an operator "library::name"; raises PluginError where there is none."""
        with self._lock:
            spec = self._search(OpSpec, f"operator {name!r}", [name], lambda spec: (spec.name,), STAGES)
            if spec is not None:
                return spec
            library = name.partition("::")[0]
            known = [s.name for s in self._offered(OpSpec, STAGES) if s.name.startswith(f"{library}::")]
            if len(known) > 12:  # a library may have hundreds: those whose names are near, or the first few
                from difflib import get_close_matches

                near = get_close_matches(name, known, n=6) or known[:6]
                rest = f" and {len(known) - len(near)} more of {library!r}"
            else:
                near, rest = known, ""
            known_text = (", ".join(map(repr, near)) or f"no operator of {library!r}") + rest
            raise self._unknown(PluginError, f"operator {name!r}", library, known_text, STAGES)

    def is_contested(self, name: str) -> bool:
        """Whether several of the plugins read so far offer an operator; reads none."""
        for stage in STAGES:
            claims = [spec for r in self.known(stage) for spec in r.offered(OpSpec) if spec.name == name]
            if claims:
                return len(claims) > 1
        return False

    def known(self, *stages: str) -> list[PluginRecord]:
        """The plugins of some stages that were read so far; reads none."""
        with self._lock:
            return [record for stage in stages for record in self._stages.get(stage, ())]

    def op_specs(self, all: bool = False) -> list[OpSpec]:
        """The operators of plugrad's own plugins; with ``all`` those of every plugin."""
        with self._lock:
            return self._offered(OpSpec, STAGES if all else ("by hand", "own"))

    def library(self, name: str) -> list[OpSpec]:
        """The operators of one library in the first stage that has any of it."""
        with self._lock:
            for stage in STAGES:
                found = [s for s in self._offered(OpSpec, (stage,)) if s.name.startswith(f"{name}::")]
                if found:
                    return found
        return []

    def unknown_library(self, name: str) -> PluginError:
        """The error for a library that nobody offers: those that are there, and who could not be read."""
        with self._lock:
            libraries = sorted({spec.name.partition("::")[0] for spec in self._offered(OpSpec, STAGES)})
            known = ", ".join(map(repr, libraries)) or "no library"
            return self._unknown(PluginError, f"operator library {name!r}", name, known, STAGES)

    def kernels_for(self, op: str, device_type: str) -> list[tuple[KernelSpec, PluginRecord]]:
        """Every plugin's kernel of an operator for a device type, and the plugin; reads all plugins."""
        return [
            (spec, record)
            for spec, record in self._with_plugins(KernelSpec)
            if (spec.op, spec.device_type) == (op, device_type)
        ]

    # --- the rest -------------------------------------------------------------------------------------------

    def commands(self) -> list[tuple[CommandSpec, PluginRecord]]:
        """The commands that plugins add to the command line, each with its plugin."""
        return self._with_plugins(CommandSpec)

    def checks(self) -> list[tuple[CheckSpec, PluginRecord]]:
        """The checks that plugins ask the doctor for, each with its plugin."""
        return self._with_plugins(CheckSpec)

    def records(self) -> list[PluginRecord]:
        """Every plugin, loaded or not; reads those that were not read yet."""
        return self.read(*STAGES)

    def read(self, *stages: str) -> list[PluginRecord]:
        """The plugins of some stages; reads those that were not read yet."""
        with self._lock:
            return self._read(*stages)

    def register(self, plugin: object) -> PluginRecord:
        """Add a module or object with hook implementations by hand; raises PluginError where it cannot be.

        Registering the same specs under the same name again changes nothing: a notebook's cell may be rerun.
        """
        name = getattr(plugin, "__name__", type(plugin).__name__)
        with self._lock:
            record = self._without_rivals(read_plugin(name, BY_HAND, name, lambda: plugin))
            if record.state != "loaded":
                raise PluginError(str(record)) from record.error
            if record.rejected:
                raise PluginError(f"{record.title} cannot be registered: {'; '.join(record.rejected)}")
            for other in self._stages["by hand"]:
                if (other.name, other.specs) == (record.name, record.specs):
                    return other
                both = {spec.what for spec in record.specs} & {spec.what for spec in other.specs}
                both -= {spec.what for spec in record.offered(KernelSpec)}  # of which there may be several
                if both:
                    reason = f"{other.title} offers {min(both)} already"
                    raise PluginError(f"{record.title} cannot be registered: {reason}")
            self._stages["by hand"].append(record)
            self._listeners.announce([record])
            return record

    # --- how ------------------------------------------------------------------------------------------------

    def _search(
        self,
        kind: type[S],
        what: str,
        keys: list[str],
        keys_of: Callable[[S], tuple[str, ...]],
        stages: tuple[str, ...],
    ) -> S | None:
        """The spec of the first stage, and in it of the first key, that exactly one plugin offers."""
        failure = DeviceError if kind is BackendSpec else PluginError
        for stage in stages:
            if stage == "own":
                self._check_installed(f"{what} is unknown", failure)
            records = self._read(stage)
            for key in keys:
                claims = [(spec, r) for r in records for spec in r.offered(kind) if key in keys_of(spec)]
                if len(claims) > 1:
                    rivals = " and ".join(record.title for _, record in claims)
                    raise failure(
                        f"{what} is offered by {rivals}: uninstall all but one of them, "
                        f"or disable one by PLUGRAD_DISABLE_PLUGINS={claims[-1][1].name}"
                    )
                if claims:
                    return claims[0][0]
        return None

    def _unknown(self, failure: type[E], what: str, asked: str, known: str, stages: tuple[str, ...]) -> E:
        """The error for what no plugin offers: what is known, and which plugins could not be asked, and why.

        A plugin whose name is like the one that was `asked` for is the likeliest cause, and comes first.
        """
        unusable = [record for record in self._read(*stages) if record.state != "loaded"]
        unusable.sort(key=lambda record: asked not in (record.name, record.value))
        reasons = "; ".join(map(str, unusable)) or "no installed plugin offers it"
        error = failure(f"{what} is unknown: plugrad knows {known}; {reasons}")
        error.__cause__ = next((record.error for record in unusable if record.state != "disabled"), None)
        return error

    def _offered(self, kind: type[S], stages: tuple[str, ...]) -> list[S]:
        return [spec for record in self._read(*stages) for spec in record.offered(kind)]

    def _with_plugins(self, kind: type[S]) -> list[tuple[S, PluginRecord]]:
        with self._lock:
            return [(spec, record) for record in self._read(*STAGES) for spec in record.offered(kind)]

    def _check_installed(self, what: str, failure: type[RuntimeError]) -> None:
        if not self._read("own"):
            raise failure(
                f"{what}: plugrad is not installed as a distribution, so its own plugins cannot be found: "
                "run `pip install -e .` in its checkout"
            )

    def _read(self, *stages: str) -> list[PluginRecord]:
        """The records of some stages; each stage is discovered by the first call that asks for it."""
        for stage in stages:
            if stage not in self._stages:
                self._discover(stage)
        return [record for stage in stages for record in self._stages[stage]]

    def _discover(self, stage: str) -> None:
        records = self._stages[stage] = []
        self._reading[stage] = threading.get_ident()
        try:
            for distribution in self._sources[stage]():
                for record in read_distribution(distribution, own=stage == "own"):
                    records.append(record if stage == "own" else self._without_rivals(record))
            for record in records:
                if record.state in ("failed", "incompatible"):
                    cure = f"PLUGRAD_DISABLE_PLUGINS={record.name}"
                    if is_strict():
                        reason = f"{record}; disable it by {cure}, or set PLUGRAD_STRICT_PLUGINS=0"
                        raise PluginError(reason) from record.error
                    warnings.warn(
                        f"{record}; all else works; silence this by {cure}", PluginWarning, stacklevel=2
                    )
        except BaseException:  # Ctrl-C, say: the next look-up starts this stage afresh
            del self._stages[stage]
            raise
        finally:
            del self._reading[stage]
        self._listeners.announce(records)

    def _without_rivals(self, record: PluginRecord) -> PluginRecord:
        """The record less what claims plugrad's own: a device type, an array type, a name among its operators."""
        own = self._offered(BackendSpec, ("own",))
        devices = RESERVED_DEVICES.union(spec.device_type for spec in own)
        arrays = {name: spec.what for spec in own for name in spec.array_types}
        rejected: dict[Spec, str] = {}
        for spec in record.backends:
            taken = [name for name in spec.array_types if name in arrays]
            if spec.device_type in devices:
                rejected[spec] = f"{spec.what} is reserved for plugrad itself: give it another name"
            elif taken:
                rejected[spec] = f"{spec.what}: array type {taken[0]!r} belongs to {arrays[taken[0]]}"
        libraries = {spec.name.partition("::")[0] for spec in self._offered(OpSpec, ("own",))}
        for op in record.offered(OpSpec):
            library = op.name.partition("::")[0]
            if library in libraries or library in RESERVED_LIBRARIES:
                rejected[op] = f"{op.what}: library {library!r} is plugrad's own: give it another name"
        kept = tuple(spec for spec in record.specs if spec not in rejected)
        return replace(record, specs=kept, rejected=tuple(rejected.values()))

    def _after_fork(self) -> None:
        """In a child process: what other threads were about to do will not happen here."""
        self._lock = threading.RLock()
        for stage, thread in list(self._reading.items()):
            if thread != threading.get_ident():
                del self._reading[stage]
                self._stages.pop(stage, None)


_registries: weakref.WeakSet[Registry] = weakref.WeakSet()


def _after_fork() -> None:
    output.after_fork()
    for registry in list(_registries):
        registry._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)

REGISTRY = Registry()
"""The registry of this process, which the doors of plugrad.plugins ask."""
