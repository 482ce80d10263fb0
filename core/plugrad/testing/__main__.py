"""`python -m plugrad.testing DEVICE CHECK`: one check of the conformance kit in this process, as a failure prints it."""

from __future__ import annotations

import argparse
import sys

from .kit.engine import conformance


def main(arguments: list[str] | None = None) -> int:
    """Run checks, print what they come to, and return the exit status: 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m plugrad.testing", description="Run checks of the conformance kit again."
    )
    parser.add_argument("device")
    parser.add_argument("check", nargs="+", help='an id such as "op:exp:second", or a pattern of ids')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tier", choices=["quick", "full"], default="quick")
    parser.add_argument(
        "--plugin", action="append", default=[], help='"module:Class" of a plugin that is not installed'
    )
    given = parser.parse_args(arguments)
    sys.path.insert(0, "")
    report = conformance(
        given.device, given.tier, only=given.check, seed=given.seed, plugins=given.plugin, keep_going=True, isolated=False,
        progress=print,
    )  # fmt: skip
    return 0 if not report.failures else 1


if __name__ == "__main__":
    sys.exit(main())
