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

FAMILIES = ("plugins", "devices", "ops", "conformance", "doctor", "new")
"""The modules that hold commands, in the order of the help."""

EPILOG = """\
Plugins may add commands; `plugrad plugins list` shows them.
Every command takes --json for output with stable keys, and --help.
Exit codes: 0 all is well; 1 something that was looked at is broken; 2 the question cannot be answered.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, that of the process unless given, and return its exit code.

    >>> main(["--version"])
    plugrad 0.1.0
    0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser, own = make_parser()
    from .answer import Answer, CommandError, write

    as_json = "--json" in words
    try:
        if words and not words[0].startswith("-") and words[0] not in own:
            from .added import run_added

            return run_added(words[0], words[1:], own)
        args = parser.parse_args(words)
        if not hasattr(args, "run"):
            parser.print_help()
            return 0
        answer = _run(args)
    except CommandError as error:
        print(f"plugrad: {error}", file=sys.stderr)
        answer = Answer({"error": str(error)}, code=2)
    except KeyboardInterrupt:
        return 130
    except SystemExit as stop:  # the help or a usage error was printed; or a plugin's command ends so
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    try:
        write(answer, as_json, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return answer.code


def make_parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of all of plugrad's own commands, and their names; making it imports no plugin."""
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
    return parser, list(commands.choices)


def command(commands: Any, name: str, run: Callable[..., Answer], help: str) -> argparse.ArgumentParser:
    """Add a command to a set of subparsers: its help is one sentence, and it takes ``--json``."""
    parser = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    # Suppressed, for a default of an inner parser would undo `plugrad plugins --json list`.
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="write JSON")
    parser.set_defaults(run=run)
    return parser


def _run(args: argparse.Namespace) -> Answer:
    """The answer of a command; what libraries print meanwhile goes to the standard error, for the answer may be JSON."""
    from contextlib import redirect_stdout

    with redirect_stdout(sys.stderr):
        return args.run(args)
