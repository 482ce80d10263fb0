"""Looking for a GPU: cheap, late, never before a fork, and each failure says what is missing."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

import plugrad as torch
from plugrad.errors import DeviceError, NoDeviceError
from plugrad_backends.cupy import detect


def _has_driver() -> bool:
    try:
        ctypes.CDLL(detect.driver_library())
    except OSError:
        return False
    return True


without_driver = pytest.mark.skipif(
    _has_driver() or not importlib.util.find_spec("cupy"),
    reason="for machines with CuPy and without a driver",
)


@without_driver
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_without_a_driver_the_first_allocation_says_what_is_missing(name: str) -> None:
    place = torch.device(name)  # only names it
    for make in (lambda: torch.ones(2, device=place), lambda: torch.ones(2).to(name)):
        with pytest.raises(
            NoDeviceError, match=r"needs an NVIDIA GPU and its driver: .*libcuda|nvcuda.*install the driver"
        ):
            make()
    assert torch.cuda.is_available() is False and torch.cuda.device_count() == 0


@without_driver
def test_where_there_is_no_driver_cupy_is_not_imported() -> None:
    program = (
        "import sys, plugrad\n"
        "assert not plugrad.cuda.is_available() and plugrad.cuda.device_count() == 0\n"
        "assert 'cupy' not in sys.modules and 'plugrad_backends.cupy.backend' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class _Failure(RuntimeError):
    def __init__(self, status: int) -> None:
        super().__init__(f"cudaError{status}")
        self.status = status


def _library(answer: Any) -> Any:
    def count() -> int:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SimpleNamespace(cuda=SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=count)))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            _Failure(35),
            "driver is missing, or older than the CUDA version that CuPy was built for: update the driver",
        ),
        (
            _Failure(100),
            "the driver sees no GPU: check `nvidia-smi` and the environment variable CUDA_VISIBLE_DEVICES",
        ),
        (_Failure(802), "nvidia-fabricmanager"),
        (_Failure(999), "_Failure: cudaError999"),
        (0, "the driver sees no GPU"),
    ],
)
def test_what_cuda_answers_in_words(answer: Any, text: str) -> None:
    with pytest.raises(NoDeviceError, match=text):
        detect.count(_library(answer))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "started_in", None)
    assert detect.count(_library(2)) == 2
    assert detect.started_in == os.getpid()
    monkeypatch.setattr(detect, "started_in", os.getpid() + 1)
    with pytest.raises(DeviceError, match=r"Cannot re-initialize CUDA in forked subprocess.*'spawn'"):
        detect.count(_library(2))
