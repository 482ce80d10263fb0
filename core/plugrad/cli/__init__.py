"""The command line: `plugrad`, also `python -m plugrad`.

One module per family of commands. Each adds its parsers, whose ``run`` takes the parsed arguments and returns an
`Answer`; only `main` prints. Exit codes: 0, done and nothing is wrong; 1, something that was looked at is broken;
2, what was asked cannot be done; 130, interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answer import Answer as Answer

FAMILIES = ("plugins", "devices", "ops", "doctor", "new")
"""The modules that hold commands, in the order of the help."""

EPILOG = """\
Every command takes --json for output with stable keys, and --help.
Exit codes: 0 all is well; 1 something that was looked at is broken; 2 the question cannot be answered.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, that of the process unless given, and return its exit code.

    >>> main(["--version"])
    plugrad 0.1.0
    0
    """
    parser = make_parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # the help, the version or a usage error was printed
        return int(stop.code or 0)
    if not hasattr(args, "run"):
        parser.print_help()
        return 0
    from .answer import Answer, CommandError, write

    as_json = getattr(args, "json", False)
    try:
        try:
            answer = _run(args)
        except CommandError as error:
            print(f"plugrad: {error}", file=sys.stderr)
            answer = Answer({"error": str(error)}, code=2)
        write(answer, as_json, sys.stdout)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return answer.code


def make_parser() -> argparse.ArgumentParser:
    """The parser of all of plugrad's own commands; making it imports no plugin."""
    from importlib import import_module

    from .. import __version__

    parser = argparse.ArgumentParser(
        prog="plugrad",
        description="See which plugins, devices and ops plugrad has here, prove them, and begin new ones.",
        epilog=EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=18),
    )
    parser.add_argument("--version", action="version", version=f"plugrad {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for family in FAMILIES:
        import_module(f".{family}", __name__).add(commands)
    return parser


def command(commands: Any, name: str, run: Callable[..., Answer], help: str) -> argparse.ArgumentParser:
    """Add a command to a set of subparsers: its help is one sentence, and it takes ``--json``."""
    parser = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    # Suppressed, for a default of an inner parser would undo `plugrad plugins --json list`.
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="write JSON")
    parser.set_defaults(run=run)
    return parser


def _run(args: argparse.Namespace) -> Answer:
    """The answer of a command; what plugins print or warn of meanwhile must not spoil its output."""
    import warnings
    from contextlib import redirect_stdout

    from ..errors import PluginWarning

    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # the answer has a row for it
        return args.run(args)
