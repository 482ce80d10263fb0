"""The conformance kit on the CPU and on devices that are made for tests."""

from __future__ import annotations

from plugrad.testing import Conformance

PLUGINS = ("tests.fake_backend:FakePlugin",)


class TestCPU(Conformance):
    device = "cpu"


class TestFake(Conformance):
    device, plugins = "fake", PLUGINS


class TestMinimal(Conformance):
    device, plugins = "minimal", PLUGINS
