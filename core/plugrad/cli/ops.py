"""`plugrad ops`: where the kernel of each op comes from on each device."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from . import command
from .answer import Answer, CommandError, Table
from .inventory import devices_by_hand, read_plugins, survey
from .probe import ask

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
    from ..op import OPS

    records = read_plugins()
    if args.missing:
        devices = [args.missing]
    else:
        devices = [d["device"] for d in survey(records) if d["state"] == "usable"]
    origins = {}
    for answer in ask("kernels", devices, devices_by_hand(records)):
        if answer["cause"]:
            raise CommandError(f"{answer['device']!r} cannot be asked: {answer['cause']}")
        origins[answer["device"]] = answer["kernels"]
    names = sorted({*OPS, *(name for kernels in origins.values() for name in kernels)})
    ops = [
        _entry(name, {device: kernels.get(name, "absent") for device, kernels in origins.items()})
        for name in names
    ]
    if args.missing:
        ops = [op for op in ops if op["kernels"][args.missing] not in ("native", "plugin")]
    counts = {device: Counter(kernels.values()) for device, kernels in origins.items()}
    rows = [(op["op"], op["kind"], " ".join(op["differentiable"]), *op["kernels"].values()) for op in ops]
    text: list[str | Table] = [Table(("op", "kind", "gradients for", *devices), rows), ""] if rows else []
    for device, count in counts.items():
        parts = ", ".join(f"{count[origin]} {origin}" for origin in ORIGINS if count[origin])
        text.append(f"{device}: {len(names)} ops, {parts}")
    return Answer(
        {"ops": ops, "counts": {device: {o: c[o] for o in ORIGINS} for device, c in counts.items()}}, text
    )


def _entry(name: str, kernels: dict[str, str]) -> dict[str, Any]:
    from ..op import OPS

    op = OPS.get(name)  # a plugin's op may be known to the other process only
    return {
        "op": name,
        "kind": getattr(op, "kind", "composite"),
        "differentiable": list(getattr(op, "differentiable", ())),
        "kernels": kernels,
    }
