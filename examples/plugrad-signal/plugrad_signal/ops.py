"""The declarations: what the operators compute, and their derivatives."""

import math

import numpy as np

import plugrad as torch
from plugrad import ops
from plugrad.sdk import elementwise_kernel, op


def _backwards(g, decay):
    """What each x[t] adds to all later outputs: the same filter, run from the end."""
    last = (g.ndim - 1,)
    return ops.flip(integrate(ops.flip(g, last), decay), last)


def _by_decay(g, y, decay):
    """The sum over t of what reaches y[t] from later, times y[t-1]."""
    n = y.shape[-1]  # some libraries refuse bounds beyond it, and a signal may be empty
    later = _backwards(g, decay)[..., min(1, n) :] * y[..., : max(n - 1, 0)]
    return ops.sum_to(ops.sum(later, (later.ndim - 1,)), decay.shape)


@op("signal::integrate", result="same", x=lambda g, decay: _backwards(g, decay), decay=_by_decay)
def integrate(x, decay):
    """The leaky integrator y[t] = x[t] + decay · y[t-1] along the last dimension; `decay` broadcasts to the others."""
    outputs = []
    for now in ops.unbind(x, x.ndim - 1):
        outputs.append(now + decay * outputs[-1] if outputs else now)
    return ops.stack(outputs, x.ndim - 1) if outputs else x


mu_law = elementwise_kernel(
    "signal::mu_law",
    source="y = copysign(log1p(mu * fabs(x)) / log1p(mu), x)",
    numpy=lambda x, mu=255.0: np.copysign(np.log1p(mu * np.abs(x)) / math.log1p(mu), x),
    x=lambda g, x, mu: g * mu / (1 + mu * ops.abs(x)) / math.log1p(mu),
)


@op("signal::decibels")
def decibels(x, floor=1e-12):
    """The level of each row, the mean of the squares of the last dimension in dB; of silence, that of `floor`."""
    return 10 * torch.log10((x * x).mean(-1) + floor)
