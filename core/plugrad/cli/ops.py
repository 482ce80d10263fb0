"""`plugrad ops`: where the kernel of each op comes from on each device."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from . import command
from .answer import Answer, CommandError, Table, shortened
from .inventory import devices_by_hand, read_plugins, survey
from .probe import all_ops, ask, describe_op

#: Where a kernel can come from, best first.
ORIGINS = ("native", "plugin", "composite", "host", "absent")


def add(commands: Any) -> None:
    """Add `ops`."""
    parser = command(commands, "ops", list_ops, "list the ops, and where each device has its kernel from")
    parser.epilog = (
        "native: the backend's own; plugin: another package's; composite: made of other kernels; "
        "host: NumPy, where plugrad.fallback allows it; absent: the op raises."
    )
    parser.add_argument(
        "--missing", metavar="DEVICE", help="only the ops for which DEVICE has no kernel of its own"
    )


def list_ops(args: argparse.Namespace) -> Answer:
    """The ops as rows, with the usable devices as columns."""
    records = read_plugins()
    if args.missing:
        devices = [args.missing]
    else:
        devices = [d["device"] for d in survey(records) if d["state"] == "usable"]
    kernels: dict[str, dict[str, str]] = {}
    about = {name: describe_op(op) for name, op in all_ops()} if not devices else {}
    for answer in ask("kernels", devices, devices_by_hand(records)):
        if answer["cause"]:
            raise CommandError(f"{answer['device']!r} cannot be asked: {answer['cause']}")
        for name, entry in answer["ops"].items():
            kernels.setdefault(name, {})[answer["device"]] = entry.pop("origin")
            about.setdefault(name, entry)
    ops = [{"op": name, **about[name], "kernels": kernels.get(name, {})} for name in sorted(about)]
    counts = {device: Counter(op["kernels"][device] for op in ops) for device in devices}
    if args.missing:
        ops = [op for op in ops if op["kernels"][args.missing] not in ("native", "plugin")]
        ops.sort(key=lambda op: -ORIGINS.index(op["kernels"][args.missing]))  # the worst first
    rows = [
        (op["op"], op["kind"] or "", " ".join(op["differentiable"]), *op["kernels"].values()) for op in ops
    ]
    text: list[str | Table] = [Table(("op", "kind", "gradients for", *devices), rows), ""] if rows else []
    for device, count in counts.items():
        parts = ", ".join(f"{count[origin]} {origin}" for origin in ORIGINS if count[origin])
        text.append(f"{device}: {len(about)} ops, {parts}")
    text += [f"{op['op']} cannot be loaded: {shortened(op['cause'], 200)}" for op in ops if op["cause"]]
    data = {"ops": ops, "counts": {device: {o: c[o] for o in ORIGINS} for device, c in counts.items()}}
    return Answer(data, text)
