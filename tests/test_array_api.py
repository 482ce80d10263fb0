"""What `ArrayAPIBackend` makes of a namespace."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from plugrad import dtypes
from plugrad.sdk import ArrayAPIBackend

NARROWED = {np.float64: np.float32, np.int64: np.int32}


def test_a_dtype_that_the_library_narrows_is_none_of_the_devices():
    """As JAX does without x64: float32 must not come to mean float64, on any device."""
    library = SimpleNamespace(
        asarray=np.asarray,
        zeros=lambda shape, dtype: np.zeros(shape, NARROWED.get(dtype, dtype)),
        **{name: getattr(np, name) for name in ("int32", "int64", "float32", "float64")},
    )

    class Narrow(ArrayAPIBackend):
        device_type = "narrow"
        namespace = library  # type: ignore[assignment]

    assert Narrow.dtypes == {dtypes.int32, dtypes.float32}
    for dt in (dtypes.int32, dtypes.int64, dtypes.float32, dtypes.float64):
        assert dtypes.of(dt.numpy) is dt
