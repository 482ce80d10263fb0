"""What a command answers, and how it is written: as JSON, in colour, or as plain aligned columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

#: Colours of the words that tell how something stands, wherever a cell of a table is one of them.
STYLES = {
    "ok": "green", "loaded": "green", "usable": "green", "native": "green", "plugin": "green", "passed": "green",
    "note": "cyan", "disabled": "cyan", "not installed": "cyan", "no device": "cyan", "composite": "cyan", "skipped": "cyan",
    "warning": "yellow", "host": "yellow", "incompatible": "yellow", "unclear": "yellow",
    "failure": "bold red", "failed": "bold red", "broken": "bold red", "absent": "bold red",
}  # fmt: skip


class CommandError(Exception):
    """A command that cannot do what was asked; the message says why, and the cure."""


@dataclass
class Table:
    """Rows of short texts under their headings."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass
class Answer:
    """What a command found: ``data`` for ``--json``, the same for a reader, and the exit code."""

    data: dict[str, Any]
    text: Sequence[str | Table] = field(default_factory=list)
    code: int = 0


def write(answer: Answer, as_json: bool, out: TextIO) -> None:
    """Write an answer to a stream: colours and fitted tables on a terminal with rich, plain columns elsewhere."""
    if as_json:
        print(json.dumps(answer.data, indent=2), file=out)  # ASCII, which any stream takes
        return
    console = _console(out)
    for block in answer.text:
        if isinstance(block, str):
            _print(block, out)
        elif console is None:
            _print(plain(block), out)
        else:
            console.print(_coloured(block))


def _print(text: str, out: TextIO) -> None:
    """Print a text whatever the encoding of the stream: what it lacks is escaped."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=out)


def plain(table: Table) -> str:
    """A table as aligned columns, for pipes and files, and where rich is not installed."""
    lines = [tuple(name.upper() for name in table.columns), *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def shortened(text: str | None, length: int = 100) -> str:
    """A text as one line that a table can hold."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def title(entry: dict[str, Any]) -> str:
    """The distribution of an entry with its version."""
    return f"{entry['distribution']} {entry['version'] or ''}".strip()


def _console(out: TextIO) -> Any:
    """rich's console for a terminal (or where FORCE_COLOR says so); None where plain columns serve better."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    console = Console(file=out, highlight=False)
    return console if console.is_terminal else None


def _coloured(table: Table) -> Any:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    result = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in table.columns:
        result.add_column(name, overflow="fold")
    for row in table.rows:
        result.add_row(*[Text(cell, style=STYLES.get(cell, "")) for cell in row])
    return result
