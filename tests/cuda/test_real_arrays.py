"""The backend's members that only look at shapes, on real arrays of CuPy's over memory of the host, beside NumPy's."""

# ruff: noqa: E402
from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

cupy = pytest.importorskip("cupy")

from plugrad import dtypes
from plugrad.backend import for_device
from plugrad_backends.cupy import devices, memory
from plugrad_backends.cupy.backend import CuPyBackend
from plugrad_backends.cupy.kernels import members

CPU: Any = for_device("cpu")


def _allocate(size: int, device: int = 0) -> Any:
    buffer = np.empty(max(size, 1), np.uint8)
    return cupy.cuda.MemoryPointer(
        cupy.cuda.UnownedMemory(buffer.ctypes.data, size, buffer, device_id=device), 0
    )


@pytest.fixture
def backend() -> Iterator[Any]:
    """A backend over the real CuPy, made without asking the driver."""
    before = cupy.cuda.get_allocator()
    cupy.cuda.set_allocator(_allocate)
    made: Any = object.__new__(CuPyBackend)
    made.index = 0
    yield made
    cupy.cuda.set_allocator(before)


def _views(rng: np.random.Generator, x: Any, y: Any, backend: Any) -> Iterator[tuple[str, Any, Any]]:
    """A random chain of views of a NumPy array and of CuPy's."""
    for _ in range(6):
        kind = rng.integers(6)
        if kind == 0 and x.ndim:
            axes = tuple(int(a) for a in rng.permutation(x.ndim))
            what, x, y = f"permute {axes}", CPU.permute_dims(x, axes), backend.permute_dims(y, axes)
        elif kind == 1 and x.ndim:
            key: Any = tuple(
                slice(int(rng.integers(0, n + 1)), int(rng.integers(0, n + 1)), int(rng.integers(1, 3)))
                for n in x.shape
            )
            what, x, y = f"getitem {key}", CPU.getitem(x, (*key, ...)), backend.getitem(y, (*key, ...))
        elif kind == 2 and x.ndim and x.shape[0]:
            i = int(rng.integers(-x.shape[0], x.shape[0]))
            what, x, y = f"getitem {i}", CPU.getitem(x, (i, ...)), backend.getitem(y, (i, ...))
        elif kind == 3:
            what, x, y = "newaxis", CPU.getitem(x, (None, ...)), backend.getitem(y, (None, ...))
        elif kind == 4:
            shape = (int(rng.integers(1, 4)), *x.shape)
            what, x, y = f"broadcast {shape}", CPU.broadcast_to(x, shape), backend.broadcast_to(y, shape)
        else:
            shape = (x.size,)
            assert backend.can_view(y, shape) == CPU.can_view(x, shape)
            if not CPU.can_view(x, shape):
                continue
            what, x, y = f"reshape {shape}", CPU.reshape(x, shape), backend.reshape(y, shape)
        yield what, x, y


@pytest.mark.parametrize("seed", range(60))
def test_views_are_numpys(backend: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, rng.integers(0, 5)))
    dtype = dtypes.ALL[rng.integers(len(dtypes.ALL))]
    dtype = dtypes.float32 if dtype.numpy is None else dtype
    x, y = CPU.empty(shape, dtype), backend.empty(shape, dtype)
    first, start = x, y.data.ptr
    assert y.base is None and dtypes.of(y.dtype) is dtype
    done = [f"{dtype} {shape}"]
    for what, a, b in _views(rng, x, y, backend):
        done.append(what)
        assert b.shape == a.shape, done
        moving = [i for i, n in enumerate(a.shape) if n > 1]
        if a.size:
            assert [b.strides[i] for i in moving] == [a.strides[i] for i in moving], done
            offset = a.__array_interface__["data"][0] - first.__array_interface__["data"][0]
            assert backend.data_ptr(b) - start == offset, done
            low, high = np.lib.array_utils.byte_bounds(a)
            base = first.__array_interface__["data"][0]
            assert backend.span(b) == (low - base + start, high - base + start), done
            assert b.flags.c_contiguous == a.flags.c_contiguous, done
        assert b is y or b.base is y, done
        assert backend.strides(b) == tuple(s // b.itemsize for s in b.strides)
    alias = backend.alias(y)
    assert alias is not y and alias.base is y


def test_whose_memory_it_is(backend: Any) -> None:
    backend.own_memory = frozenset(("UnownedMemory",))  # which stands for the pool's here
    x = backend.empty((4,), dtypes.float32)
    holders = memory.alone.__wrapped__(cupy)
    assert memory.holders(x) == holders
    for share in (backend.alias, backend.lend, lambda r: r[1:], lambda r: backend.reshape(r, (2, 2))):
        shared = share(x)
        assert memory.holders(x) > holders or shared.base is x, share
        del shared
        assert memory.holders(x) == holders
    lent = backend.lend(x)
    assert lent.base is None and lent.data.ptr == x.data.ptr and lent[1:].base is lent
    assert not backend._is_own(x)
    del lent
    assert backend._is_own(x)
    backend.own_memory = CuPyBackend.own_memory
    assert not backend._is_own(x)  # memory of others
    for name in CuPyBackend.own_memory - {"PooledMemory"}:
        assert hasattr(cupy.cuda.memory, name)
    assert hasattr(cupy.cuda.memory, "PooledMemory")


@pytest.mark.parametrize("key", [(3, ...), (-4, ...), (0, 2, ...)])
def test_indices_out_of_range_are_told(backend: Any, key: Any) -> None:
    with pytest.raises(IndexError):
        backend.getitem(backend.empty((3, 2), dtypes.float32), key)


def test_the_types_of_several_gpus(backend: Any) -> None:
    one = devices.array_type(cupy, cupy.ndarray, 1)
    assert one is devices.array_type(cupy, cupy.ndarray, 1) is not devices.array_type(cupy, cupy.ndarray, 2)
    x = cupy.ndarray((2, 3), np.float32, memptr=_allocate(24, device=1))
    found = devices.typed(cupy, cupy.ndarray, [x, (x[1:], 3)])
    assert type(x) is one and type(found[1][0]) is one and type(x.T) is one and x.T.base is x
    assert x.data.device_id == 1 and isinstance(x, cupy.ndarray)


def test_dtypes_are_the_devices(backend: Any) -> None:
    for dt in CuPyBackend.dtypes:
        assert dtypes.of(backend.empty((2,), dt).dtype) is dt
    assert dtypes.bfloat16 in CuPyBackend.dtypes or not pytest.importorskip("ml_dtypes")


def test_kernels_write_into_memory_of_cupy(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a launch but the driver: new arrays are dense, of CuPy's allocator, and the kernel is told where they are."""
    told: list[tuple[Any, ...]] = []

    class Recording:
        load = staticmethod(lambda source: source)
        function = staticmethod(lambda module, symbol: symbol)

        def launch(self, function: Any, grid: Any, block: Any, extra: int) -> None:
            where = (ctypes.c_void_p * 5).from_address(extra)[1]
            told.append((function, tuple((ctypes.c_uint64 * 4).from_address(where))))

    device = members.Device(cupy)
    monkeypatch.setattr(device, "_number", lambda: 0)
    monkeypatch.setattr(members, "CudaDriver", Recording)
    own: Any = members.All(device, backend)
    for shape in [(3, 4), (), (5,)]:
        x = cupy.ndarray(shape, np.float32)
        y = own.add(x, x)
        assert type(y) is cupy.ndarray and y.flags.c_contiguous and (y.shape, y.dtype) == (shape, x.dtype)
        symbol, (result, first, second, n) = told[-1]
        assert (
            symbol.startswith("add_")
            and (result, first, second) == (y.data.ptr, x.data.ptr, x.data.ptr)
            and n == x.size
        )
    assert own.exp(cupy.ndarray((0, 3), np.float16)).shape == (0, 3) and len(told) == 3
