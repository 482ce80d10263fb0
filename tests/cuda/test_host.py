"""What runs CUDA sources on the CPU finds the faults that it is there to find."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from plugrad_backends.cupy.kernels.launch import Kernels
from plugrad_backends.cupy.kernels.source import Source

from .arrays import single, stored
from .host import HostDriver, at

SHIFT = """
KERNEL(shift)(const float* x, float* y) {
    __shared__ float row[64];
    row[threadIdx.x] = x[threadIdx.x];
    BARRIER
    y[threadIdx.x] = row[(threadIdx.x + 1) % 64];
}
KERNEL(alone)(float* y) {
    if (threadIdx.x < 7) __syncthreads();
    y[threadIdx.x] = 0;
}
KERNEL(part_of_a_warp)(float* y) {
    if (threadIdx.x < 7) y[0] = __shfl_xor_sync(0xffffffffu, 1.f, 1);
}
KERNEL(beyond)(float* y) { y[threadIdx.x] = 0; }
KERNEL(convert)(const half_t* x, half_t* y, const bfloat_t* u, bfloat_t* v, index_t n) {
    const index_t i = (index_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    y[i] = store<half_t>(load(x[i]) + 1e-30f);
    v[i] = store<bfloat_t>(load(u[i]) * 1.0f);
}
KERNEL(narrow)(const float* x, half_t* y, bfloat_t* z, index_t n) {
    const index_t i = (index_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    y[i] = store<half_t>(x[i]);
    z[i] = store<bfloat_t>(x[i]);
}
"""


@pytest.fixture
def made(tmp_path: Any, monkeypatch: Any, driver: HostDriver) -> Any:
    from plugrad_backends.cupy.kernels import source as sources

    (tmp_path / "prelude.cu").write_text((sources.FOLDER / "prelude.cu").read_text())
    (tmp_path / "faults.cu").write_text(SHIFT)
    monkeypatch.setattr(sources, "FOLDER", tmp_path)
    sources._read.cache_clear()
    made = Kernels(driver)
    yield lambda part, barrier="": made.of(
        Source(f"faults{len(barrier)}", ("faults.cu",), BARRIER=barrier), part
    )
    sources._read.cache_clear()


def test_a_missing_barrier_shows_in_one_order(made: Any, memory: Any, driver: HostDriver) -> None:
    x, y = memory.array(np.arange(64, dtype=np.float32)), memory.empty(64, np.float32)
    right = {}
    for barrier in ("", "__syncthreads();"):
        for driver.backwards in (False, True):
            made("shift", barrier)((1, 1), (64, 1), at(x), at(y))
            right[barrier, driver.backwards] = (y == np.roll(x, -1)).all()
    assert list(right.values()).count(False) >= 1
    assert right["__syncthreads();", False] and right["__syncthreads();", True]


def test_threads_that_miss_a_barrier_are_told(made: Any, memory: Any) -> None:
    y = memory.empty(64, np.float32)
    for part in ("alone", "part_of_a_warp"):
        with pytest.raises(RuntimeError, match="at a barrier that others do not reach"):
            made(part)((1, 1), (64, 1), at(y))
    with pytest.raises(RuntimeError, match="no multiple of 32"):
        made("alone")((1, 1), (33, 1), at(y))
    with pytest.raises(RuntimeError, match="65535"):
        made("beyond")((1, 65536), (32, 1), at(y))


def test_a_write_beside_an_array_is_seen(made: Any) -> None:
    from .host import Memory

    memory = Memory()
    y = memory.empty(31, np.float32)
    made("beyond")((1, 1), (32, 1), at(y))
    with pytest.raises(AssertionError, match="wrote behind"):
        memory.check()


def test_halves_are_converted_as_devices_do(made: Any, memory: Any) -> None:
    x = memory.array(np.arange(65536, dtype=np.uint16).view(np.float16))
    u = memory.array(np.arange(65536, dtype=np.uint16))
    y, v = memory.empty(65536, np.float16), memory.empty(65536, np.uint16)
    made("convert")((512, 1), (128, 1), at(x), at(y), at(u), at(v), 65536)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(single(v), single(u))
    rng = np.random.default_rng(0)
    z = np.concatenate(
        [rng.integers(0, 2**32, 60000, np.uint32).view("f"), rng.uniform(-7e4, 7e4, 5000).astype("f")]
    )
    z = memory.array(np.concatenate([z, rng.uniform(-1e-4, 1e-4, 536).astype("f")]))
    made("narrow")((512, 1), (128, 1), at(z), at(y), at(v), 65536)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y, z.astype(np.float16))
    real = ~np.isnan(z)
    np.testing.assert_array_equal(v[real], stored(z, "bfloat16")[real])
    assert np.isnan(single(v)[~real]).all()


def test_a_parameter_is_packed_as_c_does(made: Any, memory: Any) -> None:
    kernel = made("convert")
    with pytest.raises(Exception, match="expected 5 items"):
        kernel((1, 1), (32, 1), 1)
    assert ctypes.sizeof(ctypes.c_void_p) == 8
