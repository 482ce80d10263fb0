"""The conformance kit on OpenCL devices: on PoCL, and once more with capabilities of it hidden.

PLUGRAD_TEST_OPENCL=intel,oclgrind runs it on those instead, PLUGRAD_CONFORMANCE=full all samples in all dtypes and layouts.
"""

from __future__ import annotations

import os
from typing import ClassVar

import pytest

from plugrad.testing import Conformance

from .conftest import NAMES, backend_of

HIDE = "PLUGRAD_OPENCL_HIDE"
CHOSEN = os.environ.get("PLUGRAD_TEST_OPENCL", "pocl").split(",")


class OnOpenCL(Conformance):
    runtime: ClassVar[str]
    #: Capabilities that the worker takes for absent.
    hidden = ""
    #: Kernels are built at first use: one check may build a hundred.
    timeout = 600.0

    @classmethod
    def setup_class(cls) -> None:
        if cls.runtime not in CHOSEN:
            pytest.skip(f"PLUGRAD_TEST_OPENCL={cls.runtime} runs it")
        backend_of(cls.runtime)
        cls._environment = pytest.MonkeyPatch()
        if cls.hidden:
            cls._environment.setenv(HIDE, cls.hidden)
        super().setup_class()

    @classmethod
    def teardown_class(cls) -> None:
        super().teardown_class()
        cls._environment.undo()


class TestPoCL(OnOpenCL):
    runtime, device = "pocl", "opencl:pocl"


class TestHidden(OnOpenCL):
    runtime, device = "pocl", "opencl:pocl"
    hidden = "fp64,fp16,int64_atomics"


class TestIntel(OnOpenCL):
    runtime, device = "intel", "opencl:intel:cpu"


class TestOclgrind(OnOpenCL):
    runtime, device = "oclgrind", "opencl:oclgrind"


def test_every_runtime_has_a_class():
    assert {c.runtime for c in OnOpenCL.__subclasses__()} == {*NAMES}
