"""What NVRTC makes of a source, remembered in pytest's cache by the text, architecture and version."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from plugrad_backends.cupy.kernels.compile import Resources, compile_cuda, resources

ARCHITECTURES = (80, 90, 100)


def version() -> Any:
    """NVRTC's; skips the test where there is none."""
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="CuPy is not installed")
    try:
        return nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"NVRTC is not installed: pip install nvidia-cuda-nvrtc ({error})")


def usage(config: pytest.Config, text: str, name: str, arch: int) -> dict[str, Resources]:
    """What each kernel of a source uses on an architecture."""
    assert config.cache is not None
    content = hashlib.sha256(f"{version()}{arch}{text}".encode()).hexdigest()
    found = config.cache.get(f"plugrad-nvrtc/{content}", None)
    if found is None:
        found = resources(compile_cuda(text, name, arch).log)
        config.cache.set(f"plugrad-nvrtc/{content}", {symbol: list(each) for symbol, each in found.items()})
    return {symbol: Resources(*each) for symbol, each in found.items()}
