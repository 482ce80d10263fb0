"""Commands that plugins add: `plugrad NAME …` calls the function that the plugin names."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .answer import CommandError

if TYPE_CHECKING:
    from ..plugins import PluginRecord


def run_added(name: str, words: list[str], own: Iterable[str]) -> int:
    """Run a plugin's command with the words that follow, and return its exit code; CommandError where there is none."""
    from .. import plugins
    from ..errors import PluginError
    from .inventory import read_plugins

    records = read_plugins()
    found = [(spec, record) for spec, record in plugins.commands() if spec.name == name]
    if not found:
        raise CommandError(_unknown(name, [*own, *(spec.name for spec, _ in plugins.commands())], records))
    if len(found) > 1:
        rivals = " and ".join(record.title for _, record in found)
        cure = f"uninstall all but one of them, or set PLUGRAD_DISABLE_PLUGINS={found[-1][1].name}"
        raise CommandError(f"command {name!r} is offered by {rivals}: {cure}")
    spec, record = found[0]
    try:
        code = plugins.load(spec)(words)  # type: ignore[operator]
    except PluginError as error:
        raise CommandError(f"{record.title}: {error}") from error
    except Exception:
        import traceback

        traceback.print_exc()
        print(f"plugrad: command {name!r} of {record.title} failed: tell its author", file=sys.stderr)
        return 1
    return code if isinstance(code, int) else 0


def _unknown(name: str, known: list[str], records: list[PluginRecord]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    unread = [record.title for record in records if record.state != "loaded"]
    more = f"; these plugins, which may add it, are not loaded: {', '.join(unread)}" if unread else ""
    return f"{name!r} is no command: {hint}`plugrad --help` lists them, `plugrad plugins list` what plugins add{more}"
