"""What runs CUDA sources without a GPU: see `host`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugrad_backends.cupy.kernels.launch import Kernel, Kernels

from . import host


@pytest.fixture(scope="session")
def driver(request: pytest.FixtureRequest) -> host.HostDriver:
    """The CPU as a device for CUDA sources; libraries are kept in pytest's cache."""
    reason = host.missing()
    if reason:
        pytest.skip(reason)
    return host.HostDriver(Path(request.config.cache.mkdir("plugrad-cuda-on-host")))


@pytest.fixture(scope="session")
def all_kernels(driver: host.HostDriver) -> Kernels:
    return Kernels(driver)


@pytest.fixture(params=["forwards", "backwards"])
def kernels(request: pytest.FixtureRequest, driver: host.HostDriver, all_kernels: Kernels) -> Kernels:
    """The kernels, run with the first or the last thread of a block first: a missing barrier shows in one of the two."""
    driver.backwards = request.param == "backwards"
    return all_kernels


@pytest.fixture
def memory() -> Iterator[Any]:
    """Arrays whose surroundings are examined at the end."""
    memory = host.Memory()
    yield memory
    memory.check()


@pytest.fixture
def cuda() -> Iterator[str]:
    """The device "cuda" over the strict double of CuPy."""
    pytest.importorskip("cupy")
    from . import double_plugin

    double_plugin.install()
    yield "cuda"
    double_plugin.remove()


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The symbols of the kernels that were launched."""
    symbols: list[str] = []
    launch = Kernel.__call__

    def noted(self: Any, *args: Any) -> None:
        symbols.append(self.symbol)
        launch(self, *args)

    monkeypatch.setattr(Kernel, "__call__", noted)
    return symbols


@pytest.fixture(scope="module")
def kernels_device() -> Iterator[str]:
    """The device of `kernels_plugin`."""
    pytest.importorskip("cupy")
    if host.missing():
        pytest.skip(str(host.missing()))
    from plugrad import plugins

    from . import kernels_plugin

    record = plugins.register(kernels_plugin.KernelsPlugin())
    yield "cuda_kernels"
    del record
