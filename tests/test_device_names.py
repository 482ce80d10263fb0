"""Devices that have names: what one stands for is asked at the first allocation, and tensors tell its index."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator

import pytest

import plugrad as torch
from plugrad import plugins, random
from plugrad.backend import for_device
from plugrad.errors import DeviceError
from plugrad.plugins import BackendSpec, hookimpl, registry

from .fake_backend import Array, FakeBackend

NAMES = {None: 1, "fast": 1, "fast:0": 1, "SLOW": 0}


class NamedArray(Array):
    pass


class NamedBackend(FakeBackend):
    device_type = "named"

    def __init__(self, index: int | None = None) -> None:
        self.array_type = type(f"NamedArray{index}", (NamedArray,), {})
        super().__init__(index)

    @classmethod
    def locate(cls, which: int | str | None) -> int | None:
        if which in NAMES:
            return NAMES[which]
        if not isinstance(which, int):
            raise DeviceError(f"device 'named:{which}': there are 'fast' and 'SLOW'")
        return which


class Plugin:
    @hookimpl
    def plugrad_backends(self) -> list[BackendSpec]:
        return [
            BackendSpec("named", f"{__name__}:NamedBackend", names=True),
            BackendSpec("nameless", "os:getcwd"),
        ]


@pytest.fixture
def named() -> Iterator[None]:
    record = plugins.register(Plugin())
    yield
    registry.REGISTRY._stages["by hand"].remove(record)


def test_a_name_is_a_device(named: None) -> None:
    d = torch.device("named:fast:0")
    assert (d.type, d.index, d.name, str(d), repr(d)) == (
        "named",
        None,
        "fast:0",
        "named:fast:0",
        "device('named:fast:0')",
    )
    assert d == torch.device("named:fast:0") != torch.device("named:fast") != torch.device("named")
    assert len({d, torch.device("named:fast:0"), torch.device("named"), torch.device("named:0")}) == 3
    assert pickle.loads(pickle.dumps(d)) == copy.deepcopy(d) == eval(repr(d), {"device": torch.device}) == d
    assert (torch.device("named:1").name, torch.device("named", 1).index) == (None, 1)


def test_a_name_and_none_stand_for_an_index(named: None) -> None:
    for place in ("named:fast", "named:fast:0", "named:1", "named", torch.device("named:fast")):
        x = torch.zeros(2, device=place)
        assert str(x.device) == "named:1"
        assert torch.device(place).backend is x.device.backend is for_device("named", 1)
        assert torch.device(place).resolved() == x.device == torch.device("named", 1)
        assert random.default(place) is random.default(x.device)  # one stream, however it is called
        assert x.to(place) is x
    assert torch.device("named:SLOW").resolved() == torch.device("named:0")
    assert torch.device("named:SLOW").backend is not for_device("named", 1)
    drawn = torch.rand(3, device="named:1", generator=torch.Generator("named:fast"))
    assert str(drawn.device) == "named:1"
    with pytest.raises(
        RuntimeError, match="expected a 'named:0' device type for generator but found 'named:1'"
    ):
        torch.rand(3, device="named:0", generator=torch.Generator("named:fast"))


def test_names_that_are_none(named: None) -> None:
    with pytest.raises(DeviceError, match="device 'named:quick': there are 'fast' and 'SLOW'"):
        torch.zeros(1, device="named:quick")
    for bad in (
        "named:",
        "named::",
        "named:fast:",
        "named:fast::0",
        "named:01",
        "named:fast:01",
        "nameless:x",
        "nobody:x",
    ):
        with pytest.raises(RuntimeError, match="Invalid device string"):
            torch.device(bad)
    with pytest.raises(RuntimeError, match="'named:fast' already has a name, and index=1 was given too"):
        torch.device("named:fast", 1)
    with pytest.raises(TypeError, match=r"BackendSpec.names is 'fast': give True or False"):
        BackendSpec("named", "os:getcwd", names="fast")  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="device 'cpu:fast': devices of this type have no names"):
        for_device("cpu", "fast")


def test_a_device_of_a_name_imports_no_library() -> None:
    code = "import sys, plugrad as t; d = t.device('opencl:gpu:0'); print(d, d.name, {'pyopencl', 'cupy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "opencl:gpu:0 gpu:0 set()\n"
