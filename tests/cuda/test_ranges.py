"""The kernel that notes elements out of range: compiled, without a GPU, as CuPy would compile it; and what is remembered."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

cupy = pytest.importorskip("cupy")

from plugrad_backends.cupy import ranges
from plugrad_backends.cupy.kernels.compile import compile_cuda, resources

from . import strict_double as double


@pytest.mark.parametrize("arch", [80, 90, 100])
def test_the_kernel_compiles(arch: int) -> None:
    pathfinder = pytest.importorskip("cuda.pathfinder")
    headers = pathfinder.find_nvidia_header_directory("cudart")
    if headers is None:
        pytest.skip("CUDA's headers are not installed: pip install nvidia-cuda-runtime nvidia-cuda-nvrtc")
    generator: Any = cupy._core._kernel  # private, and the only way without a driver
    kernel = cupy.ElementwiseKernel(
        "int64 x, int64 low, int64 high, int64 number", "raw int64 found", ranges.SOURCE, ranges.NAME
    )
    long = np.dtype(np.int64)
    array, number = (1, cupy.ndarray, long, 1, True, False), (3, int, long, 0, False, False)
    kinds = [array, number, number, number, array, (2, cupy._core._carray.Indexer, None, 1, False, False)]
    code = generator._get_elementwise_kernel_code(
        tuple(generator._ArgInfo(*k) for k in kinds), generator._TypeMap(()), kernel.params, kernel.operation,
        kernel.name, kernel.preamble,
    )  # fmt: skip
    include = Path(cupy.__file__).parent / "_core" / "include"
    places = [
        include,
        *((include / "cupy" / "_cccl" / name) for name in ("libcudacxx", "cub", "thrust")),
        headers,
    ]
    text = "#include <cupy/complex.cuh>\n#include <cupy/carray.cuh>\n#include <cupy/atomics.cuh>\n" + code
    compiled = compile_cuda(text, ranges.NAME, arch, [f"-I{place}" for place in places])
    found = resources(compiled.log)[ranges.NAME]
    assert compiled.image and found.spill_stores == found.spill_loads == 0


def test_the_first_failure_is_told_once(cuda: str) -> None:
    checks = ranges.Ranges(double.DOUBLE)
    assert checks.told() is None
    fine, bad = (double.wrap(np.array(v)) for v in ([0, 1], [2, -9, 7]))
    checks.check(fine, 0, 1, IndexError)
    assert checks.told() is None
    checks.check(fine, 0, 1, lambda value: IndexError(f"first {value}"))
    checks.check(bad, 0, 5, lambda value: IndexError(f"second {value}"))
    checks.check(bad, 0, 1, lambda value: IndexError(f"third {value}"))
    error = checks.told()
    assert str(error) == "second -9" and "values were next read" in error.__notes__[0]  # type: ignore[union-attr]
    assert checks.told() is None


def test_only_the_last_checks_are_remembered_in_words(cuda: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "REMEMBERED", 2)
    checks = ranges.Ranges(double.DOUBLE)
    checks.check(double.wrap(np.array([4])), 0, 1, lambda value: IndexError(f"forgotten {value}"))
    for _ in range(3):
        checks.check(double.wrap(np.array([0])), 0, 1, IndexError)
    assert len(checks._errors) == 2
    assert str(checks.told()) == "index 4 is out of bounds"
