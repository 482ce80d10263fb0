"""`plugrad doctor`: looks for everything that can be wrong with an installation, and says the cure."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from . import command
from .answer import Answer, Table, shortened
from .inventory import plugin_entry, read_plugins, survey

#: The variables of the environment that plugrad reads.
VARIABLES = {
    "PLUGRAD_DISABLE_PLUGINS": "plugins of these names are not imported",
    "PLUGRAD_PLUGINS": "of other distributions, only plugins of these names are imported",
}


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
    findings = [f for check in (installation, environment, plugins, conflicts, devices) for f in check()]
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


def environment() -> Iterator[Finding]:
    """The variables that plugrad reads, where they are set; and those that are misspelt."""
    from difflib import get_close_matches

    names = {record.name for record in read_plugins()}
    for variable in sorted(name for name in os.environ if name.startswith("PLUGRAD_")):
        value = os.environ[variable]
        if variable not in VARIABLES:
            close = get_close_matches(variable, VARIABLES, 1)
            cure = f"rename it to {close[0]}" if close else f"unset it; plugrad reads {', '.join(VARIABLES)}"
            yield Finding("warning", "environment", f"{variable} is not a variable that plugrad reads", cure)
            continue
        unknown = {name.strip() for name in value.split(",")} - names - {"", "*"}
        yield Finding("note", "environment", f"{variable}={value}: {VARIABLES[variable]}")
        if unknown:
            found = f"{variable} names {', '.join(map(repr, sorted(unknown)))}, but no plugin is called so"
            yield Finding("warning", "environment", found, "`plugrad plugins list` shows the names")


def plugins() -> Iterator[Finding]:
    """Whether each plugin could be loaded, and whether all that it offers was accepted."""
    for plugin in map(plugin_entry, read_plugins()):
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


def conflicts() -> Iterator[Finding]:
    """What several plugins offer, so that neither is used."""
    offers: dict[str, list[Any]] = {}
    for record in read_plugins():
        for spec in record.specs if record.state == "loaded" else ():
            offers.setdefault(spec.what, []).append(record)
            for array_type in getattr(spec, "array_types", ()):
                offers.setdefault(f"array type {array_type!r}", []).append(record)
    rivals = {what: records for what, records in offers.items() if len(records) > 1}
    for what, records in rivals.items():
        cure = f"uninstall all but one of them, or disable one by PLUGRAD_DISABLE_PLUGINS={records[-1].name}"
        yield Finding("failure", what, f"is offered by {' and '.join(r.title for r in records)}", cure)
    if not rivals:
        yield Finding("ok", "conflicts", "no two plugins offer the same")


def devices() -> Iterator[Finding]:
    """Whether a gradient can be taken on each device."""
    found_devices = survey(read_plugins())
    if not any(d["device"] == "cpu" for d in found_devices):
        cure = "enable plugrad's own plugin, or install plugrad again"
        yield Finding("failure", "device cpu", "no plugin offers it, and nothing works without it", cure)
    for d in found_devices:
        check, disable = f"device {d['device']}", f"set PLUGRAD_DISABLE_PLUGINS={d['plugin']}"
        if d["state"] == "usable":
            found = f"a gradient is right; import {_ms(d['import_seconds'])}, gradient {_ms(d['gradient_seconds'])}"
            yield Finding("ok", check, found)
        elif d["state"] == "not installed":
            yield Finding("note", check, d["cause"])
        elif d["state"] == "broken":
            cure = f"install what it names, upgrade or uninstall {d['distribution']}, or {disable}"
            yield Finding("failure", check, d["cause"], cure)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _count(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
