"""Layer 5: two small models train on the device, and lose what they lost where they were first trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import DeviceError
from ..models import MODELS
from .agreement import values
from .bench import Bench
from .checks import Absent, Check


def train(bench: Bench, model: Any) -> None:
    """The losses in single and, where the device has it, in double precision, against those that are stored."""
    for dtype, tolerance in model.tolerance.items():
        if bench.has(dtype):
            steps = len(model.losses) if bench.full or dtype == "float32" else 2
            try:
                losses = model.train(bench.device, dtype, steps)
            except DeviceError as error:
                if "has no kernel for" in str(error):
                    raise Absent(f"it needs what is absent: {error}") from error
                raise
            what = f"losses of the {model.name} model, in {dtype}"
            values(np.array(losses), np.array(model.losses[:steps]), what, tolerance, tolerance)


CHECKS = [Check("models", f"model:{m.name}", lambda bench, m=m: train(bench, m)) for m in MODELS]
