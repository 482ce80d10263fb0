"""All checks, in the order of the layers, and how one of them is run in this process."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np

from . import capabilities, declaration, fusing, layout, ops, primitives, training, writing
from .agreement import Disagreement
from .bench import Bench
from .checks import LAYERS, Absent, Check, Skip


@cache
def checks() -> dict[str, Check]:
    """Every check by its id. What the device lacks is told when a check runs, so this needs no device."""
    modules = (declaration, layout, writing, primitives, ops, training, capabilities, fusing)
    return {c.id: c for module in modules for c in module.CHECKS}


def select(layers: Iterable[str] | None = None, only: Iterable[str] | None = None) -> list[Check]:
    """The checks of some layers whose ids match one of some patterns; ValueError for a name that nothing has."""
    found = list(checks().values())
    if layers is not None:
        layers = [layers] if isinstance(layers, str) else list(layers)
        unknown = [name for name in layers if name not in LAYERS]
        if unknown:
            raise ValueError(
                f"layers: found {', '.join(map(repr, unknown))}: the layers are {', '.join(LAYERS)}"
            )
        found = [c for c in found if c.layer in layers]
    if only is not None:
        for pattern in (patterns := [only] if isinstance(only, str) else list(only)):
            if not any(matches(c, pattern) for c in found):
                raise ValueError(f"only: no check is called {pattern!r}" + suggestion(pattern))
        found = [c for c in found if any(matches(c, p) for p in patterns)]
    return found


def matches(check: Check, pattern: str) -> bool:
    """Whether a check, or one of its aspects, has an id of that pattern."""
    return any(fnmatchcase(name, pattern) for name in {check.id, *map(check.result_id, check.aspects)})


def suggestion(name: str) -> str:
    """What the writer of an unknown id may have meant."""
    from difflib import get_close_matches

    known = {n for c in checks().values() for n in (c.id, *map(c.result_id, c.aspects))}
    close = get_close_matches(name, known, 3)
    return f": did you mean {' or '.join(map(repr, close))}?" if close else ""


def run(bench: Bench, check: Check, aspect: str) -> dict[str, Any]:
    """Run a check here: a dictionary with its status, reason and detail. Anything that it raises is a failure."""
    op = check.id.removeprefix("op:")
    outcome = _outcome(bench, check, aspect)
    return {**outcome, "origin": bench.origins[op]} if op in bench.origins else outcome


def _outcome(bench: Bench, check: Check, aspect: str) -> dict[str, Any]:
    with np.errstate(all="ignore"):
        try:
            check(bench, aspect)
        except Skip as skip:
            return {"status": "skipped", "reason": str(skip), "absent": isinstance(skip, Absent)}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit of a library, too
            detail = "" if isinstance(error, Disagreement) else _where(error)
            return {"status": "failed", "reason": _told(error), "detail": detail}
    return {"status": "passed"}


def _where(error: BaseException) -> str:
    """The traceback from the check on, without the kit's own machinery above it."""
    return "".join(traceback.format_exception(error.with_traceback(_below(error.__traceback__))))


def _below(tb: Any) -> Any:
    while tb is not None and tb.tb_frame.f_globals.get("__name__") in (__name__, Check.__module__):
        tb = tb.tb_next
    return tb


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, AssertionError) and text else f"{type(error).__name__}: {text}"
