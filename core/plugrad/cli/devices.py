"""`plugrad devices` and `plugrad backends`: what can be used here, and why not the rest."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from . import command
from .answer import Answer, Table, title
from .inventory import read_plugins, survey, why_not


def add(commands: Any) -> None:
    """Add `devices` and `backends`."""
    command(
        commands, "devices", list_devices, "try every device: which can be used here, and why not the others"
    )
    command(commands, "backends", list_backends, "list the backends: their arrays, dtypes and capabilities")


def list_devices(args: argparse.Namespace) -> Answer:
    """Each device in one line: whether a gradient can be taken on it."""
    found = survey(read_plugins())
    rows = [(d["device"], d["state"], d["plugin"], _milliseconds(d), why_not(d)) for d in found]
    table = Table(("device", "state", "plugin", "first gradient", "why not"), rows)
    members = [line for d in found for line in d["members"] or ()]
    return Answer({"devices": found}, [table, *(["\n" + "\n".join(members)] if members else []), *_unread()])


def list_backends(args: argparse.Namespace) -> Answer:
    """Each backend in one line: what its class says of itself."""
    from ..dtypes import ALL

    found = survey(read_plugins())
    columns = ("device", "state", "class", "distribution", "arrays", "dtypes", "capabilities")
    rows = [
        (
            d["device"],
            d["state"],
            d["target"],
            title(d),
            d["array_type"] or ", ".join(d["array_types"]),
            few(d["dtypes"] or [], [str(dtype).removeprefix("torch.") for dtype in ALL]),
            few([name for name, can in (d["capabilities"] or {}).items() if can], d["capabilities"] or {}),
        )
        for d in found
    ]
    return Answer({"backends": found}, [Table(columns, rows), *_unread()])


def few(names: Iterable[str], known: Iterable[str]) -> str:
    """Some of the known names in a few words: those that are lacking where these are fewer.

    >>> few(["b"], ["a", "b", "c"]), few(["a", "b"], ["a", "b", "c"]), few(["a"], ["a"])
    ('b', 'all but c', 'all')
    """
    names = list(names)
    lacking = [name for name in known if name not in names]
    if not names or len(names) <= len(lacking):
        return " ".join(names)
    return f"all but {' '.join(lacking)}" if lacking else "all"


def _milliseconds(d: dict[str, Any]) -> str:
    seconds = d["gradient_seconds"]
    return "" if seconds is None else f"{1000 * (d['import_seconds'] + seconds):.0f} ms"


def _unread() -> list[str]:
    """A line where plugins that could not be read may offer more."""
    count = sum(record.state in ("failed", "disabled") for record in read_plugins())
    if not count:
        return []
    which = "plugin that is" if count == 1 else "plugins that are"
    return [f"\n{count} {which} not loaded may offer more: plugrad plugins list"]
