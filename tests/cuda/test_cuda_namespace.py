"""`plugrad.cuda`: devices, streams, events and memory, over the strict double."""

from __future__ import annotations

import gc
from typing import Any

import pytest

pytest.importorskip("cupy")

import plugrad as torch
from plugrad.errors import DeviceError

from . import strict_double as double


def test_devices(cuda: str) -> None:
    assert torch.cuda.is_available() and torch.cuda.device_count() == 1
    assert torch.cuda.current_device() == 0 and torch.cuda.is_initialized()
    assert torch.cuda.get_device_name() == "a double of a GPU"
    assert torch.cuda.get_device_capability(0) == (9, 0)
    assert torch.cuda.get_device_properties("cuda:0").total_memory == 1 << 40
    with pytest.raises(RuntimeError, match="invalid device ordinal: asked for device 1, and there is one, 0"):
        torch.cuda.set_device(1)
    with pytest.raises(ValueError, match="Expected a cuda device, but got: cpu"):
        torch.cuda.set_device("cpu")
    with pytest.raises(DeviceError, match="device 'cuda:7' is not there: the driver sees 1 GPU, 'cuda:0'"):
        torch.ones(1, device="cuda:7")


def test_where_the_host_waits_is_named(cuda: str) -> None:
    x = torch.tensor([1.0, -2.0], device=cuda)
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert torch.cuda.get_sync_debug_mode() == 2
        y = (x * 2).relu()
        here = __file__.replace(".", r"\.")
        for wait, text in (
            (lambda: y.sum().item(), "a copy to the host in item"),
            (lambda: y.cpu(), "a copy to the host in cpu"),
            (lambda: y[y > 0], "a mask, which waits for the number of its places"),
            (lambda: y.nonzero(), "whose result is as long as its values say in nonzero"),
            (
                lambda: torch.linalg.inv(y.reshape(2, 1) @ y.reshape(1, 2)),
                "inv, which looks whether the matrix",
            ),
            (torch.cuda.synchronize, "synchronize"),
            (torch.cuda.current_stream().synchronize, "Stream.synchronize"),
        ):
            with pytest.raises(
                RuntimeError, match=rf"called a synchronizing CUDA operation: .*{text}.* at {here}:\d+"
            ):
                wait()
        torch.cuda.set_sync_debug_mode("warn")
        with pytest.warns(UserWarning, match="a copy to the host in tolist"):
            assert y.tolist() == [2, 0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    with pytest.raises(
        RuntimeError, match="invalid value of debug_mode, expected one of 'default', 'warn', 'error'"
    ):
        torch.cuda.set_sync_debug_mode("loud")


def test_a_step_in_the_mode_that_forbids_waiting(cuda: str) -> None:
    net = torch.nn.Linear(3, 2).to(cuda)
    steps = torch.optim.Adam(net.parameters())
    x = torch.ones(4, 3).to(cuda)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            steps.zero_grad()
            torch.nn.functional.mse_loss(net(x), x[:, :2]).backward()
            steps.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_streams_and_events(cuda: str) -> None:
    default = torch.cuda.default_stream()
    assert torch.cuda.current_stream() == default and default.cuda_stream == 0 and default.query()
    side = torch.cuda.Stream(priority=-1)
    assert side != default and side.device == torch.device("cuda:0") and "cuda_stream=" in repr(side)
    side.wait_stream(default)
    with torch.cuda.stream(side):
        assert torch.cuda.current_stream() == side and hash(torch.cuda.current_stream()) == hash(side)
        with torch.cuda.stream(None):
            assert torch.cuda.current_stream() == side
        event = torch.cuda.Event(enable_timing=True)
        event.record()
    assert torch.cuda.current_stream() == default
    assert [what for what, _ in side.raw.log] == ["waits for", "records"]
    default.wait_event(event)
    assert default.raw.log[-1] == ("waits for", event._raw)
    end = default.record_event(torch.cuda.Event(enable_timing=True))
    assert event.elapsed_time(end) == 0.5 and event.query()
    event.synchronize()
    with pytest.raises(RuntimeError, match="enable_timing=True"):
        event.elapsed_time(torch.cuda.Event())
    with pytest.raises(RuntimeError, match="must be recorded first"):
        event.elapsed_time(torch.cuda.Event(enable_timing=True))


def test_memory(cuda: str) -> None:
    before = torch.cuda.memory_allocated()
    x = torch.zeros(1024, device=cuda)
    assert torch.cuda.memory_allocated() - before == 4096 <= torch.cuda.memory_reserved()
    with pytest.raises(RuntimeError, match=r"call plugrad\.cuda\.reset_peak_memory_stats\(\) first"):
        torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    try:
        y = x + 1
        del y
        assert torch.cuda.max_memory_allocated() == before + 8192
        assert torch.cuda.memory_stats()["allocated_bytes.all.peak"] == before + 8192
        torch.cuda.reset_peak_memory_stats()
        assert torch.cuda.max_memory_allocated() == before + 4096
    finally:
        from plugrad_backends.cupy import memory

        memory.COUNTS.peaks = None
    free, total = torch.cuda.mem_get_info()
    assert total - free == torch.cuda.memory_allocated()
    torch.cuda.empty_cache()


@pytest.mark.parametrize(
    "ask",
    [lambda x: x + 1, lambda x: torch.zeros(1 << 20, device="cuda"), lambda x: x.exp().sum().backward()],
)
def test_out_of_memory_says_how_much_there_is_and_the_program_goes_on(cuda: str, ask: Any) -> None:
    x = torch.ones(1 << 18, device=cuda, requires_grad=True)
    gc.collect()  # or what is freed meanwhile makes room
    double.STATE.limit = double.STATE.used + 4096
    with pytest.raises(torch.cuda.OutOfMemoryError) as error:
        ask(x)
    text = str(error.value)
    asked = "4.00 MiB" if "zeros" in text or "4.00 MiB" in text else "1.00 MiB"
    assert f"CUDA out of memory. Tried to allocate {asked}. GPU 0 has a total capacity of" in text
    assert "is in use by arrays" in text and "plugrad.cuda.empty_cache()" in text
    assert isinstance(error.value, (RuntimeError, MemoryError))
    double.STATE.limit = 1 << 40
    (x + 1).sum().backward()
    assert x.grad.sum().item() == 1 << 18


def test_seeds(cuda: str) -> None:
    torch.cuda.manual_seed_all(7)
    assert torch.cuda.initial_seed() == 7
    first = torch.rand(3, device=cuda).tolist()
    state = torch.cuda.get_rng_state()
    second = torch.rand(3, device=cuda).tolist()
    torch.cuda.set_rng_state(state)
    assert torch.rand(3, device=cuda).tolist() == second != first
    torch.cuda.manual_seed(7)
    assert torch.rand(3, device=cuda).tolist() == first
    torch.cuda.seed()
    assert torch.rand(3, device=cuda).tolist() != first


def test_words_for_moving(cuda: str) -> None:
    x = torch.ones(2)
    assert x.cuda().is_cuda and x.cuda(0).is_cuda and x.to("cuda", non_blocking=True).is_cuda
    assert torch.nn.Linear(1, 1).cuda().weight.is_cuda and not x.cuda().cpu().is_cuda
