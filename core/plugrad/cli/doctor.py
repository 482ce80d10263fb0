"""`plugrad doctor`: looks for everything that can be wrong with an installation, and says the cure."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from . import command
from .answer import Answer, Table, shortened
from .inventory import devices_by_hand, plugin_entry, read_plugins, survey, why_not
from .probe import ask

if TYPE_CHECKING:
    from ..plugins import PluginRecord

#: The variables of the environment that plugrad reads.
VARIABLES = {
    "PLUGRAD_DISABLE_PLUGINS": "plugins of these names are not imported",
    "PLUGRAD_PLUGINS": "of other distributions, only plugins of these names are imported",
    "PLUGRAD_STRICT_PLUGINS": "unless it is 0, a plugin that fails stops the program",
    "PLUGRAD_DEFAULT_DEVICE": "the device of new tensors",
    "PLUGRAD_STRICT_MUTATION": "unless it is 0, writes raise where PyTorch's do",
    "PLUGRAD_CONFORMANCE": "the tier of the conformance kit",
    "PLUGRAD_CUDA_KERNELS": "if it is 'cupy', CuPy computes what plugrad has kernels of its own for",
    "PLUGRAD_TF32": "if it is 1, products of float32 on CUDA are rounded to TF32",
    "PLUGRAD_CUDNN": "if it is 0, cuDNN is not used on CUDA",
    "PLUGRAD_OPENCL_DEVICE": "the device that 'opencl' stands for",
    "PLUGRAD_OPENCL_HIDE": "capabilities of OpenCL devices that are not used",
}
#: Those that hold names of plugins.
LISTS = ("PLUGRAD_DISABLE_PLUGINS", "PLUGRAD_PLUGINS")


@dataclass
class Finding:
    """One line of the doctor: ``status`` is "ok", "note", "warning" or "failure"."""

    status: str
    check: str
    found: str
    cure: str | None = None


HELP = "check the installation, every plugin and every device, and say the cures"


def add(commands: Any) -> None:
    """Add `doctor`, which `plugins doctor` is, too."""
    command(commands, "doctor", examine, HELP)


def examine(args: argparse.Namespace) -> Answer:
    """Run every check; the exit code is 1 where one fails."""
    records = read_plugins()
    tried = survey(records)
    findings = [
        *installation(),
        *environment(records),
        *plugins(records),
        *conflicts(records),
        *devices(tried),
        *default_device(tried),
        *fallbacks(records, tried),
        *plugin_checks(),
    ]
    rows = []
    for f in findings:
        rows.append((f.status, f.check, shortened(f.found, 200)))
        if f.cure:
            rows.append(("", "", f"cure: {f.cure}"))
    counts = Counter(f.status for f in findings)
    summary = ", ".join(_count(counts[status], status) for status in ("failure", "warning") if counts[status])
    data = {"ok": not counts["failure"], "checks": [asdict(f) for f in findings]}
    text: list[str | Table] = [
        Table(("status", "check", "found"), rows),
        f"\n{summary or 'Everything is well'}.",
    ]
    return Answer(data, text, int(counts["failure"] > 0))


def installation() -> Iterator[Finding]:
    """plugrad, Python and NumPy: versions and places."""
    import platform
    import sys
    from pathlib import Path

    import numpy

    import plugrad

    from ..plugins.loader import own_distributions

    place = Path(plugrad.__file__).parent
    own = own_distributions()
    if not own:
        cure = "install it: `pip install plugrad`, or `pip install -e .` in a checkout"
        yield Finding(
            "failure", "plugrad", f"{place} is not installed as a distribution: no plugin is found", cure
        )
    elif own[0].version != plugrad.__version__:
        found = (
            f"{plugrad.__version__} in {place}, but the distribution that is installed is {own[0].version}"
        )
        yield Finding("warning", "plugrad", found, "install it again")
    else:
        yield Finding("ok", "plugrad", f"{plugrad.__version__} in {place}")
    yield Finding("ok", "Python", f"{platform.python_version()} at {sys.executable}")
    version = tuple(int(part) for part in numpy.__version__.split(".")[:2])
    old = version < (2, 3)
    cure = 'pip install "numpy>=2.3"'
    yield Finding("failure" if old else "ok", "NumPy", numpy.__version__, cure if old else None)


def environment(records: list[PluginRecord]) -> Iterator[Finding]:
    """The variables that plugrad reads, where they are set; and those that are misspelt."""
    from difflib import get_close_matches

    names = {record.name for record in records}
    for variable in sorted(name for name in os.environ if name.startswith("PLUGRAD_")):
        value = os.environ[variable]
        if variable not in VARIABLES:
            close = get_close_matches(variable, VARIABLES, 1)
            cure = f"rename it to {close[0]}" if close else f"unset it; plugrad reads {', '.join(VARIABLES)}"
            yield Finding("warning", "environment", f"{variable} is not a variable that plugrad reads", cure)
            continue
        unknown = {name.strip() for name in value.split(",")} - names - {"", "*"}
        yield Finding("note", "environment", f"{variable}={value}: {VARIABLES[variable]}")
        if unknown and variable in LISTS:
            found = f"{variable} names {', '.join(map(repr, sorted(unknown)))}, but no plugin is called so"
            yield Finding("warning", "environment", found, "`plugrad plugins list` shows the names")


def plugins(records: list[PluginRecord]) -> Iterator[Finding]:
    """Whether each plugin could be loaded, and whether all that it offers was accepted."""
    for plugin in map(plugin_entry, records):
        check, disable = f"plugin {plugin['name']}", f"set {plugin['disable']}"
        if plugin["state"] == "loaded":
            count = len(plugin["offers"])
            yield Finding("ok", check, f"loaded, offers {count} thing{'' if count == 1 else 's'}")
        elif plugin["state"] == "disabled":
            yield Finding("note", check, f"disabled: {plugin['cause']}")
        else:
            cure = f"upgrade, repair or uninstall {plugin['distribution']}, or {disable}"
            yield Finding("failure", check, f"{plugin['state']}: {plugin['cause']}", cure)
        for reason in plugin["rejected"]:
            yield Finding("warning", check, f"rejected: {reason}", f"tell its author, or {disable}")


def conflicts(records: list[PluginRecord]) -> Iterator[Finding]:
    """What several plugins offer, so that neither is used."""
    from ..plugins import CheckSpec, KernelSpec

    offers: dict[str, list[Any]] = {}
    for record in records:
        for spec in record.specs if record.state == "loaded" else ():
            if isinstance(spec, CheckSpec | KernelSpec):  # of which there may be several
                continue
            offers.setdefault(spec.what, []).append(record)
            for array_type in getattr(spec, "array_types", ()):
                offers.setdefault(f"array type {array_type!r}", []).append(record)
    rivals = {what: records for what, records in offers.items() if len(records) > 1}
    for what, records in rivals.items():
        cure = f"uninstall all but one of them, or disable one by PLUGRAD_DISABLE_PLUGINS={records[-1].name}"
        yield Finding("failure", what, f"is offered by {' and '.join(r.title for r in records)}", cure)
    if not rivals:
        yield Finding("ok", "conflicts", "no two plugins offer the same")


def devices(tried: list[dict[str, Any]]) -> Iterator[Finding]:
    """Whether a gradient can be taken on each device."""
    if not any(d["device"] == "cpu" for d in tried):
        cure = "enable plugrad's own plugin, or install plugrad again"
        yield Finding("failure", "device cpu", "no plugin offers it, and nothing works without it", cure)
    contested = {name for name, count in Counter(d["device"] for d in tried).items() if count > 1}
    for d in tried:
        if d["device"] in contested:  # `conflicts` tells of it
            continue
        check, disable = f"device {d['device']}", f"set PLUGRAD_DISABLE_PLUGINS={d['plugin']}"
        if d["state"] == "usable":
            found = f"a gradient is right; import {_ms(d['import_seconds'])}, gradient {_ms(d['gradient_seconds'])}"
            yield Finding("ok", check, found)
        elif d["state"] in ("not installed", "no device"):
            yield Finding("note", check, why_not(d))
        elif d["state"] == "broken":
            cure = f"install what it names, upgrade or uninstall {d['distribution']}, or {disable}"
            yield Finding("failure", check, why_not(d), cure)
        for line in d["members"] or ():
            yield Finding("note", check, line)


def default_device(tried: list[dict[str, Any]]) -> Iterator[Finding]:
    """Whether the device that the environment makes the default can be used."""
    from ..errors import PluginError
    from ..plugins import installed

    device = os.environ.get("PLUGRAD_DEFAULT_DEVICE")
    try:
        device = installed().default_device() if device == "auto" else device
    except PluginError as error:
        yield Finding("failure", "default device", str(error), "set PLUGRAD_DEFAULT_DEVICE to one of them")
        return
    if device:
        usable = [d["device"] for d in tried if d["state"] == "usable"]
        if device.partition(":")[0] in usable:
            yield Finding("ok", "default device", device)
        else:
            cure = f"set PLUGRAD_DEFAULT_DEVICE to one of {', '.join(map(repr, usable))}, or unset it"
            yield Finding("failure", "default device", f"{device!r} cannot be used", cure)


def fallbacks(records: list[PluginRecord], tried: list[dict[str, Any]]) -> Iterator[Finding]:
    """Which devices have no kernel for some ops; and how often this process computed on the host instead."""
    from ..kernels import fallbacks

    usable = list(dict.fromkeys(d["device"] for d in tried if d["state"] == "usable"))
    for answer in ask("kernels", usable, devices_by_hand(records)):
        origins = Counter(op["origin"] for op in answer.get("ops", {}).values())
        lacking, device = origins["host"] + origins["absent"], answer["device"]
        if lacking:
            how = (
                f"; plugrad.fallback lets the host compute {origins['host']} of them"
                if origins["host"]
                else ""
            )
            text = (
                f"has no kernel for {_count(lacking, 'op')}{how}: `plugrad ops --missing {device}` names them"
            )
            yield Finding("note", f"device {device}", text)
    for (device, op), count in sorted(fallbacks.items()):
        text = f"this process computed {op!r} of device {device!r} on the host {_count(count, 'time')}"
        yield Finding("note", "host fallback", text)


def plugin_checks() -> Iterator[Finding]:
    """What plugins ask the doctor to look at: each check returns a line that tells what it found, or raises."""
    from .. import plugins
    from ..plugins.loader import describe

    for spec, record in plugins.checks():
        check = f"{record.name}: {spec.name}"
        try:
            found: Any = plugins.load(spec)()  # type: ignore[operator]
        except (Exception, SystemExit) as error:
            text = str(error) if isinstance(error, RuntimeError) else describe(error)
            yield Finding(
                "failure", check, text, f"do what it says, or set PLUGRAD_DISABLE_PLUGINS={record.name}"
            )
        else:
            if isinstance(found, str) and found.strip():
                yield Finding("ok", check, shortened(found, 200))
            else:
                cure = "tell its author: a check returns one line of text, or raises"
                yield Finding("warning", check, f"returned {found!r}", cure)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _count(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
