"""`plugrad conformance`: proves from the shell that a device keeps the contract of a backend."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from . import command
from .answer import Answer, CommandError, Table
from .inventory import devices_by_hand, read_plugins


def add(commands: Any) -> None:
    """Add `conformance`."""
    parser = command(commands, "conformance", prove, "run the conformance kit on a device")
    parser.add_argument("device", metavar="DEVICE", help="the device, such as 'cpu' or 'metal:1'")
    parser.add_argument(
        "--full", action="store_true", help="the full tier: every dtype, more shapes and seeds"
    )
    parser.add_argument(
        "--only", action="append", metavar="ID", help="only checks of this id or pattern, e.g. 'op:*'"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random data (0)")
    parser.add_argument(
        "--markdown", metavar="FILE", help="also write the report, with its table of ops, as a page"
    )


def prove(args: argparse.Namespace) -> Answer:
    """Run the kit; the exit code is 1 where a check fails."""
    from ..device import device
    from ..plugins import find_backend
    from ..testing import conformance

    records = read_plugins()  # which warns of none
    try:
        spec = find_backend(device(args.device).type)  # else every check would say that there is none
    except RuntimeError as error:
        raise CommandError(str(error)) from error
    try:
        report = conformance(
            args.device,
            "full" if args.full else None,
            only=args.only,
            seed=args.seed,
            isolated=spec.device_type not in devices_by_hand(records),
            progress=_progress() if sys.stderr.isatty() else None,
        )
    except ValueError as error:  # an argument that means nothing to the kit
        raise CommandError(str(error)) from error
    finally:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
    written = []
    if args.markdown:
        try:
            Path(args.markdown).write_text(report.to_markdown(), "utf-8")
        except OSError as error:
            raise CommandError(
                f"--markdown {args.markdown}: the report cannot be written: {error}"
            ) from error
        written = [f"\nThe report is in {args.markdown}."]
    return Answer(report.to_dict(), [*_described(report), *written], int(not report.ok))


def _described(report: Any) -> list[str | Table]:
    """How many checks of each layer came to what, and what makes the run fail, each with a line that repeats it."""
    layers: dict[str, Counter[str]] = {}
    for result in report.results:
        layers.setdefault(result.layer, Counter())[result.status] += 1
    statuses = tuple(report.counts)
    rows = [(layer, *(str(counts[s] or "") for s in statuses)) for layer, counts in layers.items()]
    text: list[str | Table] = [Table(("layer", *statuses), rows)]
    for result in report.failures:
        text.append(f"\n{result.status}: {result.id}: {result.reason}")
        if result.reproduce:
            text.append(f"  reproduce: {result.reproduce}")
    counts = ", ".join(f"{count} {status}" for status, count in report.counts.items()) or "nothing was run"
    text.append(f"\n{report.device}, {report.tier} tier: {counts}.")
    return text


def _progress() -> Any:
    """A function that shows on the standard error, a terminal, how many checks are done, in one line."""
    done = 0

    def progress(result: Any) -> None:
        nonlocal done
        done += 1
        print(f"\r\x1b[K{done} checks, {result.id[:60]}", end="", file=sys.stderr, flush=True)

    return progress
