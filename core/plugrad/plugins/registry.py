"""Which plugin answers for a device or an array type: plugrad's own first, strangers where it has none."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import Distribution

from ..errors import DeviceError, PluginError, PluginWarning
from .loader import PluginRecord, other_distributions, own_distributions, read_distribution, read_plugin
from .specs import RESERVED_DEVICES, BackendSpec

STAGES = ("by hand", "own", "others")
"""Where a look-up asks, in this order; the first stage with an answer ends it, so later ones stay unread."""


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
        self._lock = threading.RLock()  # a plugin may look something up while it is imported

    def find_backend(self, device_type: str) -> BackendSpec:
        """The backend of a device type; raises DeviceError with the reason where there is none."""
        # A built-in device is never sought among strangers, not even while plugrad's own plugin is broken.
        stages = ("own",) if device_type in RESERVED_DEVICES else STAGES
        with self._lock:
            what = f"device {device_type!r}"
            spec = self._search(what, [device_type], lambda spec: (spec.device_type,), stages)
            if spec is not None:
                return spec
            known = dict.fromkeys(repr(spec.device_type) for spec in self._backends(stages))
            unusable = [record for record in self._read(*stages) if record.state != "loaded"]
        devices = ", ".join(known) or "no device"
        reasons = "; ".join(map(str, unusable)) or "no installed plugin offers it"
        cause = next((record.error for record in unusable if record.state != "disabled"), None)
        raise DeviceError(f"{what} is unknown: plugrad knows {devices}; {reasons}") from cause

    def find_backend_for_array(self, array_type: type) -> BackendSpec | None:
        """The backend whose arrays are of this type or a base of it; None where no plugin claims it."""
        names = [f"{base.__module__}:{base.__qualname__}" for base in array_type.__mro__]
        with self._lock:
            return self._search(f"array type {names[0]!r}", names, lambda spec: spec.array_types, STAGES)

    def backend_specs(self, all: bool = False) -> list[BackendSpec]:
        """plugrad's own backends; with ``all`` those of every plugin, which imports the plugins."""
        with self._lock:
            self._check_installed("no device can be listed")
            return self._backends(STAGES if all else ("own",))

    def records(self) -> list[PluginRecord]:
        """Every plugin, loaded or not; reads those that were not read yet."""
        with self._lock:
            return self._read(*STAGES)

    def register(self, plugin: object) -> PluginRecord:
        """Add a module or object with hook implementations by hand; raises PluginError where it cannot be.

        Registering the same specs under the same name again changes nothing: a notebook's cell may be rerun.
        """
        name = getattr(plugin, "__name__", type(plugin).__name__)
        with self._lock:
            record = self._without_rivals(read_plugin(name, "registered by hand", name, lambda: plugin))
            if record.state != "loaded":
                raise PluginError(str(record)) from record.error
            if record.rejected:
                raise PluginError(f"{record.title} cannot be registered: {'; '.join(record.rejected)}")
            for other in self._stages["by hand"]:
                if (other.name, other.specs) == (record.name, record.specs):
                    return other
                both = {spec.what for spec in record.specs} & {spec.what for spec in other.specs}
                if both:
                    reason = f"{other.title} offers {min(both)} already"
                    raise PluginError(f"{record.title} cannot be registered: {reason}")
            self._stages["by hand"].append(record)
            return record

    def _search(
        self,
        what: str,
        keys: list[str],
        keys_of: Callable[[BackendSpec], tuple[str, ...]],
        stages: tuple[str, ...],
    ) -> BackendSpec | None:
        """The spec of the first stage, and in it of the first key, that exactly one plugin offers."""
        for stage in stages:
            if stage == "own":
                self._check_installed(f"{what} is unknown")
            records = self._read(stage)
            for key in keys:
                claims = [(spec, r) for r in records for spec in r.backends if key in keys_of(spec)]
                if len(claims) > 1:
                    rivals = " and ".join(record.title for _, record in claims)
                    raise DeviceError(
                        f"{what} is offered by {rivals}: uninstall all but one of them, "
                        f"or disable one by PLUGRAD_DISABLE_PLUGINS={claims[-1][1].name}"
                    )
                if claims:
                    return claims[0][0]
        return None

    def _backends(self, stages: tuple[str, ...]) -> list[BackendSpec]:
        return [spec for record in self._read(*stages) for spec in record.backends]

    def _check_installed(self, what: str) -> None:
        if not self._read("own"):
            raise DeviceError(
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
        try:
            for distribution in self._sources[stage]():
                for record in read_distribution(distribution, own=stage == "own"):
                    records.append(record if stage == "own" else self._without_rivals(record))
        except BaseException:  # Ctrl-C, say: the next look-up starts this stage afresh
            del self._stages[stage]
            raise
        for record in records:
            if record.state in ("failed", "incompatible"):
                message = f"{record}; all else works; silence this by PLUGRAD_DISABLE_PLUGINS={record.name}"
                warnings.warn(message, PluginWarning, stacklevel=2)

    def _without_rivals(self, record: PluginRecord) -> PluginRecord:
        """The record less the backends that claim what is plugrad's own: a device type or an array type."""
        own = self._backends(("own",))
        devices = RESERVED_DEVICES.union(spec.device_type for spec in own)
        arrays = {name: spec.what for spec in own for name in spec.array_types}
        rejected = {}
        for spec in record.backends:
            taken = [name for name in spec.array_types if name in arrays]
            if spec.device_type in devices:
                rejected[spec] = f"{spec.what} is reserved for plugrad itself: give it another name"
            elif taken:
                rejected[spec] = f"{spec.what}: array type {taken[0]!r} belongs to {arrays[taken[0]]}"
        kept = tuple(spec for spec in record.specs if spec not in rejected)
        return replace(record, specs=kept, rejected=tuple(rejected.values()))


REGISTRY = Registry()
"""The registry of this process, which the doors of plugrad.plugins ask."""
