"""`plugrad plugins`: which plugins there are, what each offers, and what went wrong with those that fail."""

from __future__ import annotations

import argparse
from typing import Any

from . import command, doctor
from .answer import Answer, CommandError, Table, shortened, title
from .inventory import plugin_entry, read_plugins


def add(commands: Any) -> None:
    """Add `plugins` and what it can do."""
    family = command(commands, "plugins", list_plugins, "list the installed plugins, or look closely at one")
    parts = family.add_subparsers(title="commands", metavar="COMMAND")
    command(parts, "list", list_plugins, "list the installed plugins and what they offer")
    show = command(parts, "show", show_plugin, "show everything about one plugin")
    show.add_argument("name", help="the plugin's name, as `plugrad plugins list` shows it")
    command(parts, "doctor", doctor.examine, f"{doctor.HELP} (the same as `plugrad doctor`)")


def list_plugins(args: argparse.Namespace) -> Answer:
    """Every plugin in one line."""
    found = [plugin_entry(record) for record in read_plugins()]
    columns = ("plugin", "distribution", "state", "offers", "cause")
    rows = [(p["name"], title(p), p["state"], _offers(p), shortened(p["cause"])) for p in found]
    text: list[str | Table] = [Table(columns, rows)] if rows else [NOTHING]
    if any(p["state"] not in ("loaded", "disabled") for p in found):
        text.append("\nplugrad plugins show NAME tells everything about one of them; all else works.")
    return Answer({"plugins": found}, text)


def show_plugin(args: argparse.Namespace) -> Answer:
    """Everything about the plugins of one name."""
    known = read_plugins()
    found = [plugin_entry(record) for record in known if record.name == args.name]
    if not found:
        from difflib import get_close_matches

        close = get_close_matches(args.name, [record.name for record in known], 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise CommandError(f"no plugin is called {args.name!r}: {hint}`plugrad plugins list` shows them all")
    text: list[str | Table] = []
    for plugin in found:
        text += [*([""] if text else []), *_described(plugin)]
    return Answer({"plugins": found}, text)


NOTHING = "No plugin was found, not even plugrad's own: run `pip install -e .` in its checkout."


def _offers(plugin: dict[str, Any]) -> str:
    """What a plugin offers, in a few words: devices and commands by name, the rest by number."""
    offers = plugin["offers"]
    words = [f"device {offer['device_type']}" for offer in offers if offer["kind"] == "backend"]
    words += [f"command {offer['name']}" for offer in offers if offer["kind"] == "command"]
    for kind in dict.fromkeys(o["kind"] for o in offers if o["kind"] not in ("backend", "command")):
        count = sum(offer["kind"] == kind for offer in offers)
        words.append(f"{count} {kind}{'s' if count > 1 else ''}")
    if plugin["rejected"]:
        words.append(f"{len(plugin['rejected'])} rejected")
    return ", ".join(words)


def _described(plugin: dict[str, Any]) -> list[str | Table]:
    facts = [
        ("plugin", plugin["name"]),
        ("state", plugin["state"]),
        ("distribution", title(plugin)),
        ("entry point", plugin["entry_point"]),
        *([("cause", plugin["cause"])] if plugin["cause"] else []),
        *[("rejected", reason) for reason in plugin["rejected"]],
        *([("default device", plugin["default_device"])] if plugin["default_device"] else []),
        ("to disable it", f"set the environment variable {plugin['disable']}"),
    ]
    width = max(len(name) for name, _ in facts)
    text: list[str | Table] = [f"{name:<{width}}  {value}" for name, value in facts]
    if plugin["offers"]:
        rows = [
            (o["what"], o["target"], ".".join(map(str, o["api"])), ", ".join(o.get("requires", ())))
            for o in plugin["offers"]
        ]
        text += ["", Table(("offers", "imported from", "api", "requires"), rows)]
    if plugin["output"]:
        text += ["", "printed when it was imported:", plugin["output"].rstrip()]
    if plugin["traceback"]:
        text += ["", plugin["traceback"].rstrip()]
    return text
