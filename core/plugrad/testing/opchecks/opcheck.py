"""`opcheck`: everything that an op has to be, tried on sample calls.

opcheck(my_op, x, y)                        # one call
opcheck(my_op, (x, y), (a, b))              # several
opcheck(my_op, domain=(0.1, 3.0))           # drawn, for an elementwise op
opcheck(MyFunction, x, skip={"gradgrad": "its backward is once_differentiable"})
"""

from __future__ import annotations

from typing import Any

from ... import random
from ...errors import OpCheckError

# isort: off
# They declare their checks, in the order in which they are made.
from . import value_checks, lowering_checks, form_checks, derivative_checks  # noqa: F401

# isort: on
from .calls import Case, Subject
from .checks import CHECKS
from .report import Check, Fault, Inapplicable, OpReport
from .samples import cases


def opcheck(
    op: Any,
    *samples: Any,
    device: Any = "cpu",
    domain: Any = None,
    elementwise: bool | None = None,
    reference: Any = None,
    skip: dict[str, str] | None = None,
    only: str | list[str] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
    raise_exception: bool = True,
) -> OpReport:
    """Check an `Op`, a `Composite`, a `Function` subclass or a function of tensors on sample calls; returns a `OpReport`.

    `samples` are the arguments of one call, or tuples of them for several; `plugrad.testing.S(x, axis=0)` names arguments.
    Random numbers begin alike in each call. Tensors are copied to `device`, and made float64 where it has that. Derivatives are
    taken by the tensors that require grad if any does, else by all that hold floating-point numbers. Without samples, arguments
    are drawn for an elementwise op: from `domain`, (low, high) or a dict of that by input, (-2, 2) if not given. A function that
    works element by element says so by `elementwise=True`.

    The checks: `name`, `call`, `mutation`, `formulas`, `composite` (the kernel and the op's default agree), `reference` (a
    function of NumPy arrays, if given), `cpu` (the device and the CPU agree), `deterministic`, `no_grad`, `aliasing`,
    `lowering` (the kernel of a composite, and its derivatives, agree with the body), `layouts`, `broadcasting`,
    `empty`, `zero_dim`, `dtypes`, `gradcheck`, `gradgrad`, `forward_mode`, `vmap`, `saves`. `skip` leaves some out, and needs
    a reason for each; `only` makes no others. `rtol` and `atol` take the place of what
    `plugrad.testing.TOLERANCES` has for values; differences of derivatives are compared as `gradcheck` does.

    OpCheckError lists all checks that failed, each with what was asked, found, the cure, and a line that reproduces it;
    without `raise_exception` the report does.

    >>> import plugrad as torch
    >>> from plugrad.testing import opcheck
    >>> opcheck(torch.sigmoid, torch.tensor([-1.0, 0.5]))
    <opcheck of sigmoid on 'cpu': 13 checks passed>
    """
    left_out = _checked(skip, only)
    subject = Subject(op, elementwise, device)
    options = {"rtol": rtol, "atol": atol}
    found = list(cases(subject, samples, domain, seed))
    before = {where: (g, g._stream, g._seed) for where, g in random._default.items()}
    try:
        checks = _all(found, left_out, options, reference)
    finally:  # each call has started the generators anew
        for where in set(random._default) - set(before):
            del random._default[where]
        for generator, stream, start in before.values():
            generator._stream, generator._seed = stream, start
    report = OpReport(subject.name, str(subject.device), checks)
    if raise_exception and not report.ok:
        raise OpCheckError(report.summary(only_failed=True))
    return report


def _all(found: list[Case], left_out: dict[str, str], options: dict[str, Any], reference: Any) -> list[Check]:
    checks: list[Check] = []
    broken = None  # what the rest stands on
    for name in CHECKS:
        if name in left_out:
            if left_out[name]:
                checks.append(Check(name, "skipped", left_out[name]))
        elif broken is not None:
            checks.append(Check(name, "skipped", f"{broken!r} failed"))
        else:
            made, fatal = _made(name, found, options, reference)
            checks.append(made)
            broken = name if fatal else None
    return checks


def _checked(skip: Any, only: Any) -> dict[str, str]:
    """The checks that are not made, with the reasons that were given: none for those that `only` leaves out."""
    only = [only] if isinstance(only, str) else only
    for what, names in (("skip", skip or {}), ("only", only or [])):
        unknown = sorted(set(names) - set(CHECKS))
        if unknown:
            raise ValueError(f"opcheck: {what}={unknown}: no such check: there are {', '.join(CHECKS)}")
    if skip is not None and not isinstance(skip, dict):
        raise TypeError(f"opcheck: skip={skip!r}: give a reason for each check: skip={{'gradgrad': 'why'}}")
    for name, reason in (skip or {}).items():
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(
                f"opcheck: skip={{{name!r}: {reason!r}}}: say why: skip={{{name!r}: 'because …'}}"
            )
    left_out = {name: "" for name in CHECKS if only is not None and name not in only}
    return {**left_out, **(skip or {})}


def _made(name: str, found: list[Case], options: dict[str, Any], reference: Any) -> tuple[Check, bool]:
    """One check, on every sample until one fails; and whether others have nothing to stand on then."""
    asked, cure, run = CHECKS[name]
    more = {"reference": reference} if name == "reference" else {}
    details, reason = [], ""
    for case in found:
        try:
            details.append(run(case, options, **more))
        except Inapplicable as error:
            reason = reason or str(error)
            continue
        except Fault as fault:
            text, better, fatal = f"{fault}", fault.cure, fault.fatal
        except Exception as error:
            text, better, fatal = f"{type(error).__name__}: {error}", None, False
        else:
            if name == "name":  # which has no samples
                break
            continue
        where = "" if name == "name" else f"; {case}"
        cure, line = better or cure, _line(case, name)
        check = Check(name, "failed", asked=asked, found=f"{text}{where}", cure=cure, reproduce=line)
        return check, fatal or name == "call"
    if not details:
        return Check(name, "inapplicable", reason), False
    return Check(name, "passed", next((d for d in details if d), "")), False


def _line(case: Case, name: str) -> str:
    """Python that makes one check on one sample."""
    subject, literal = case.subject, case.literal()
    args = literal if literal is not None else f"samples[{case.index}]"
    device = "" if str(subject.device) == "cpu" else f", device={str(subject.device)!r}"
    claimed = subject.elementwise and not (subject.op is not None and subject.op.broadcasts)
    return f"opcheck({subject.expression}, {args}{device}{', elementwise=True' if claimed else ''}, only={name!r})"
