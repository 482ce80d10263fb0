"""Which of the plugins' kernels serve an operator on a device: rules that keep an installed package from changing numbers.

A kernel that the device's own package offers is as good as a member of its backend, and one of the operator's own package
is used beside the operator. Any other one is used where the device would have none, if it is the only one; where it would
replace a kernel, only when its vendor was chosen by `plugrad.use_kernels`.
"""

from __future__ import annotations

import re

from ..errors import DeviceError, PluginError
from .loader import PluginRecord
from .registry import BY_HAND, STAGES, Registry
from .specs import RESERVED_DEVICES, BackendSpec, KernelSpec, OpSpec

Offer = tuple[KernelSpec, PluginRecord]


def own_kernel(registry: Registry, op: str, device_type: str) -> KernelSpec | None:
    """The kernel of the package that offers the device, else of the one that offers the operator.

    None where they offer none, or several.
    """
    builtin = ("own",) if device_type in RESERVED_DEVICES else STAGES
    return _beside(registry, builtin, BackendSpec, "device_type", device_type, op, device_type) or (
        _beside(registry, STAGES, OpSpec, "name", op, op, device_type) if "::" in op else None
    )


def _beside(
    registry: Registry,
    stages: tuple[str, ...],
    kind: type[BackendSpec] | type[OpSpec],
    field: str,
    value: str,
    op: str,
    device_type: str,
) -> KernelSpec | None:
    """The one kernel of the one package that offers what has this value in a field."""
    for stage in stages:
        records = registry.read(stage)
        sources = {_source(r) for r in records for s in r.offered(kind) if getattr(s, field) == value}
        if sources:
            found = [spec for spec, r in _offers(records, op, device_type) if _source(r) in sources]
            return found[0] if len(found) == len(sources) == 1 else None
    return None


def sole_kernel(registry: Registry, op: str, device_type: str) -> KernelSpec | None:
    """The one kernel that a plugin offers where the device has none; DeviceError where several do."""
    found = _offers(registry.read(*STAGES), op, device_type)
    if len(found) > 1:
        rivals = " and ".join(record.title for _, record in found)
        raise DeviceError(
            f"device {device_type!r} has no kernel for {op!r} of its own, and several are offered, by {rivals}: "
            f"choose by plugrad.use_kernels({found[0][1].name!r})"
        )
    return found[0][0] if found else None


def kernels_of(registry: Registry, vendor: str) -> dict[tuple[str, str], KernelSpec]:
    """The kernels of a plugin or distribution, by operator and device type; PluginError where it has none."""
    known = registry.records()
    records = [r for r in known if r.name == vendor]
    records = records or [
        r for r in known if _canonical(r.distribution.partition(" ")[0]) == _canonical(vendor)
    ]
    loaded = [r for r in records if r.state == "loaded"]
    if len({_source(r) for r in loaded}) > 1:
        rivals = " and ".join(record.title for record in loaded)
        raise PluginError(f"use_kernels: {vendor!r} is the name of {rivals}: give the distribution's name")
    if not loaded:
        offering = sorted({r.name for r in known if r.offered(KernelSpec)})
        names = ", ".join(map(repr, offering)) or "none"
        unusable = [r for r in records or known if r.state != "loaded"]
        reasons = "".join(f"; {record}" for record in unusable)
        cause = next((r.error for r in unusable if r.state != "disabled"), None)
        raise PluginError(
            f"use_kernels: no plugin that is called {vendor!r} is loaded; those that offer kernels: {names}{reasons}"
        ) from cause
    offers: dict[tuple[str, str], Offer] = {}
    for record in loaded:
        for spec in record.offered(KernelSpec):
            other = offers.setdefault((spec.op, spec.device_type), (spec, record))[1]
            if other is not record:
                raise PluginError(
                    f"use_kernels: {other.title} and {record.title} both offer a {spec.what}: name one of these plugins"
                )
    if not offers:
        raise PluginError(
            f"use_kernels: {loaded[0].title} offers no kernel: its package has nothing to choose"
        )
    return {key: spec for key, (spec, _) in offers.items()}


def _offers(records: list[PluginRecord], op: str, device_type: str) -> list[Offer]:
    return [
        (spec, record)
        for record in records
        for spec in record.offered(KernelSpec)
        if (spec.op, spec.device_type) == (op, device_type)
    ]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _source(record: PluginRecord) -> str:
    """The package that a plugin comes from; plugins that were registered by hand are each their own."""
    return f"{BY_HAND}: {record.name}" if record.distribution == BY_HAND else record.distribution
