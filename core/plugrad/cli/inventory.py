"""What is installed, as JSON: plugins and what they offer, and the devices, each tried."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..plugins import BackendSpec, PluginRecord

#: The distribution of plugins that a program registered itself.
BY_HAND = "registered by hand"


def read_plugins() -> list[PluginRecord]:
    """Every plugin; reads those that were not read yet.

    One that fails is a row of the answer: no warning, and no end of the program, whatever PLUGRAD_STRICT_PLUGINS says.
    """
    import warnings

    from .. import plugins
    from ..errors import PluginWarning

    strict = os.environ.pop("PLUGRAD_STRICT_PLUGINS", None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PluginWarning)
            return plugins.records()
    finally:
        if strict is not None:
            os.environ["PLUGRAD_STRICT_PLUGINS"] = strict


def plugin_entry(record: PluginRecord) -> dict[str, Any]:
    """A plugin as JSON; ``cause`` and ``traceback`` tell why it is not loaded."""
    from dataclasses import asdict

    from ..plugins.loader import describe

    cause = None
    if record.error is not None:
        cause = describe(record.error) if record.state == "failed" else str(record.error)
    return {
        "name": record.name,
        **source(record),
        "entry_point": record.value,
        "state": record.state,
        "offers": [{"kind": kind_of(spec), "what": spec.what, **asdict(spec)} for spec in record.specs],
        "default_device": record.default_device,
        "rejected": list(record.rejected),
        "cause": cause,
        "traceback": record.traceback_text or None,
        "output": record.output or None,
        "disable": f"PLUGRAD_DISABLE_PLUGINS={record.name}",
    }


def source(record: PluginRecord) -> dict[str, str | None]:
    """The distribution of a plugin, and its version where it has one."""
    distribution, _, version = record.distribution.rpartition(" ")
    if version[:1].isdigit():
        return {"distribution": distribution, "version": version}
    return {"distribution": record.distribution, "version": None}


def kind_of(spec: object) -> str:
    """What sort of thing a spec declares: "backend", "op", "kernel" …"""
    return type(spec).__name__.removesuffix("Spec").lower()


def survey(records: list[PluginRecord]) -> list[dict[str, Any]]:
    """Each backend that a plugin offers, as JSON, after its device was tried.

    ``state`` is "usable", "not installed" (what the backend requires is not), "no device" (this machine has none),
    "incompatible" (its plugin is), or "broken"; ``cause`` tells why it is not usable.
    """
    from ..plugins import BackendSpec
    from .probe import ask

    found = [
        _entry(record, spec) for record in records for spec in record.specs if isinstance(spec, BackendSpec)
    ]
    to_try = list(dict.fromkeys(d["device"] for d in found if d["state"] == "usable"))
    answers = {answer["device"]: answer for answer in ask("probe", to_try, devices_by_hand(records))}
    for d in found:
        if d["state"] == "usable":
            d |= answers[d["device"]]
            d["state"] = (
                "usable" if not d["cause"] else "no device" if d.pop("no_device", False) else "broken"
            )
    return found


def why_not(entry: dict[str, Any]) -> str:
    """The cause of a device's entry for a row that names the device already."""
    return (entry["cause"] or "").removeprefix(f"device {entry['device']!r}").lstrip(": ")


def devices_by_hand(records: list[PluginRecord]) -> set[str]:
    """The device types that another process would not know."""
    return {
        spec.device_type for record in records if record.distribution == BY_HAND for spec in record.backends
    }


def _entry(record: PluginRecord, spec: BackendSpec) -> dict[str, Any]:
    """What is known of a backend before it is tried; it counts as usable where nothing speaks against that."""
    from ..errors import DeviceError
    from ..plugins.targets import check_requirements

    state, cause = "usable", None
    if record.state != "loaded":
        state, cause = record.state, str(record.error)
    else:
        try:
            check_requirements(spec)
        except DeviceError as error:
            state, cause = "not installed", str(error)
    return {
        "device": spec.device_type,
        "state": state,
        "cause": cause,
        "plugin": record.name,
        **source(record),
        "target": spec.target,
        "requires": list(spec.requires),
        "array_types": list(spec.array_types),
        "class": None,
        "array_type": None,
        "dtypes": None,
        "capabilities": None,
        "members": None,
        "import_seconds": None,
        "gradient_seconds": None,
    }
