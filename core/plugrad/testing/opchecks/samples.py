"""The calls that `opcheck` looks at: those that it is given, those of an op's row, or drawn ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..rows.row import Sample
from .calls import Case, Subject


def cases(subject: Subject, samples: tuple[Any, ...], domain: Any, seed: int) -> Iterator[Case]:
    """The calls to look at: those given, or drawn."""
    if not samples and domain is None and not subject.elementwise and subject.op is not None:
        from ..rows import ROWS

        samples = tuple(s for row in ROWS if row.op == subject.op.name for s in row.samples)
    if not samples:
        yield from _drawn(subject, domain, seed)
        return
    if domain is not None:
        raise ValueError(
            "opcheck: `domain` is for drawing samples, and some are given: leave one of them out"
        )
    if not isinstance(samples[0], (tuple, Sample)):
        samples = (samples,)  # the arguments of one call
    for i, sample in enumerate(samples):
        if not isinstance(sample, (tuple, Sample)):
            raise TypeError(
                f"opcheck: sample {i} is a {type(sample).__name__}: give the arguments of one call, or tuples of "
                "arguments, one for each call (plugrad.testing.S(x, axis=0) for arguments by name)"
            )
        args, params = (sample.args, sample.params) if isinstance(sample, Sample) else (sample, {})
        case = Case(subject, i, args, params, seed)
        if not case.arrays:
            raise TypeError(f"opcheck: sample {i} holds no tensor: found {args!r}")
        yield case


def _drawn(subject: Subject, domain: Any, seed: int) -> Iterator[Case]:
    if not subject.elementwise:
        raise ValueError(
            f"opcheck: give sample arguments: {subject.name!r} is not declared elementwise, so nobody knows what shapes it "
            "takes: opcheck(op, x, y), or elementwise=True and domain=(low, high)"
        )
    names = subject.inputs
    if not names:
        raise ValueError(f"opcheck: {subject.name!r} takes no tensors")
    if isinstance(domain, dict):
        unknown = set(domain) - set(names)
        if unknown:
            raise ValueError(f"opcheck: domain: {sorted(unknown)} are none of the inputs {', '.join(names)}")
        domains = [domain.get(name, (-2.0, 2.0)) for name in names]
    else:
        domains = [(-2.0, 2.0) if domain is None else domain] * len(names)
    n = len(names)
    shapes: list[list[tuple[int, ...]]] = [[(2, 3)] * n, [()] * n]
    if n > 1:
        shapes.insert(1, [[(2, 3), (3,), (2, 1)][i % 3] for i in range(n)])
    op = subject.op
    for index, each in enumerate(shapes):
        rng = np.random.default_rng([seed, index, 1])
        arrays = []
        for name, shape, (low, high) in zip(names, each, domains, strict=True):
            if op is not None and not op.variadic and name not in op.promotes:
                arrays.append(np.asarray(rng.random(shape) < 0.5))
                continue
            x = rng.uniform(low, high, shape)
            digits = max(0, 3 - math.floor(math.log10(high - low)))
            short = np.round(x, digits)  # which reads better in a message
            arrays.append(np.asarray(np.where((short > low) & (short < high), short, x)))
        args: list[Any] = [arrays] if op is not None and op.variadic else arrays
        yield Case(subject, index, args, {}, seed, domains)
