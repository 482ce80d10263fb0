"""Memory, profiles, and what users read when a device fails."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import numpy as np
import pyopencl as cl
import pytest

import plugrad as torch
from plugrad.errors import DeviceError, OutOfMemoryError
from plugrad_backends.opencl import empty_cache, memory_stats, profile


def test_memory_is_counted_and_given_back(opencl):
    where = f"opencl:{opencl.index}"
    gc.collect()  # what earlier tests left behind
    before = memory_stats(where)["active_bytes"]
    x = torch.ones(1000, device=where)
    during = memory_stats(where)["active_bytes"]
    assert 4000 <= during - before < 16000
    del x
    gc.collect()
    assert during - memory_stats(where)["active_bytes"] >= 4000
    empty_cache(where)
    assert memory_stats(where)["held_blocks"] == 0


def test_too_much_memory_says_what_was_asked_and_the_process_goes_on(opencl):
    if not opencl.device.is_cpu:
        pytest.skip("Oclgrind does not survive it")
    where = f"opencl:{opencl.index}"
    most = memory_stats(where)["largest_array_bytes"]
    with pytest.raises(
        OutOfMemoryError, match=rf"out of memory: {4 * (most // 4 + 10**9):,} bytes were asked.*smaller ones"
    ):
        torch.empty(most // 4 + 10**9, device=where)
    assert torch.ones(3, device=where).sum().item() == 3


def test_a_profile_names_kernels(opencl):
    where = f"opencl:{opencl.index}"
    x = torch.ones(100, device=where)
    with profile(where) as found:
        (x * x + x.exp()).sum()
    assert {"multiply", "exp", "add"} <= set(found.kernels)
    assert found.kernels["exp"][0] == 1 and found.seconds > 0
    assert "launches" in str(found) and "exp" in str(found)
    assert (x + 1).sum().item() == 200  # and afterwards, too


def test_a_device_that_fails_says_what_it_did_and_what_to_do(opencl, monkeypatch):
    def fail(*args, **options):
        raise cl.LogicError("clEnqueueNDRangeKernel failed: DEVICE_NOT_AVAILABLE")

    kernel = SimpleNamespace(function_name="kernel_add", numbers=len, last=None, set_args=fail)
    device = opencl.device
    with pytest.raises(
        DeviceError, match=r"failed in the kernel 'kernel_add'.*may be lost.*start the process anew"
    ):
        device.run(kernel, (1,), (1,))
    fail_of_memory = cl.MemoryError("clEnqueueNDRangeKernel failed: MEM_OBJECT_ALLOCATION_FAILURE")
    assert isinstance(device.failed("a copy", fail_of_memory), OutOfMemoryError)
    monkeypatch.setattr(cl, "enqueue_copy", fail)
    with pytest.raises(DeviceError, match="failed in a copy from the host"):
        opencl.from_numpy(np.ones(3))


def test_arguments_that_stay_from_launch_to_launch(opencl):
    """A kernel keeps its arguments; what changes between two launches is set all the same: memory, offset, number, shape."""
    host = np.arange(1, 13, dtype=np.float32)
    x = opencl.from_numpy(host)
    views = [(x, host)] + [
        (opencl.getitem(x, (part,)), host[part]) for part in (slice(0, 4), slice(4, 8), slice(8, 12))
    ]
    for raw, want in [*views, *reversed(views), views[1]]:
        assert np.array_equal(opencl.multiply(raw, raw).get(), want * want)
        for number in (0.0, -0.0, np.nan, -0.0, 2.0, 2.0):
            found = opencl.copysign(raw, number).get()
            assert np.array_equal(found, np.copysign(want, np.float32(number))), number
    with pytest.raises((RuntimeError, TypeError, ValueError, OverflowError)):
        opencl.bitwise_xor(opencl.from_numpy(np.arange(4)), 2**70)
    assert opencl.bitwise_xor(opencl.from_numpy(np.arange(4)), 1).get().tolist() == [1, 0, 3, 2]
