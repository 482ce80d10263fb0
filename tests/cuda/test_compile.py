"""Every CUDA source compiles for every architecture, without spills; and what does not compile says where."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from plugrad.errors import DeviceError
from plugrad_backends.cupy.kernels import source as sources
from plugrad_backends.cupy.kernels.compile import compile_cuda, resources
from plugrad_backends.cupy.kernels.launch import Kernels
from plugrad_backends.cupy.kernels.source import Source

from . import compiled
from .compiled import ARCHITECTURES, usage

TOGETHER = 8


@pytest.fixture(scope="module")
def version() -> Any:
    return compiled.version()


def _bundles() -> list[Any]:
    names = [source.name for source in sources.every()]
    starts = range(0, len(names), TOGETHER)
    return [pytest.param(names[i : i + TOGETHER], id=names[i]) for i in starts]


@pytest.mark.parametrize("names", _bundles())
def test_compiles_without_spills(request: pytest.FixtureRequest, version: Any, names: list[str]) -> None:
    def check(job: tuple[str, int]) -> None:
        source, arch = sources.find(job[0]), job[1]
        found = usage(request.config, source.text, source.name, arch)
        assert set(found) == {entry.symbol for entry in source.entries.values()}
        for symbol, (registers, stack, stores, loads) in found.items():
            assert (stack, stores, loads) == (0, 0, 0), f"{symbol} spills for sm_{arch}"
            assert registers <= 128, (
                f"{symbol} needs {registers} registers a thread for sm_{arch}: 512 have 128"
            )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(check, [(name, arch) for name in names for arch in ARCHITECTURES]))


def test_every_file_has_a_source() -> None:
    used = {file for source in sources.every() for file in source.files}
    assert used | {"prelude.cu", "elementwise.cu"} == {path.name for path in sources.FOLDER.iterdir()}


def test_a_spill_is_seen(version: Any) -> None:
    text = 'extern "C" __global__ void __launch_bounds__(1024, 2) k(float* x) {\n'
    text += "float v[99];\nfor (int i = 0; i < 99; ++i) v[i] = x[i * 7];\n__syncthreads();\n"
    text += "for (int i = 0; i < 99; ++i) for (int j = 0; j < 99; ++j) x[i + j * i] = v[i] * v[j];\n}\n"
    (used,) = resources(compile_cuda(text, "spill", 90).log).values()
    assert used.stack or used.spill_stores


def test_a_source_that_does_not_compile_says_where(version: Any, tmp_path: Any, monkeypatch: Any) -> None:
    for path in sources.FOLDER.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    text = (tmp_path / "softmax.cu").read_text()
    number = text[: text.index("    const C most")].count("\n") + 1
    (tmp_path / "softmax.cu").write_text(text.replace("    const C most", "    const C most = = 1;//", 1))
    monkeypatch.setattr(sources, "FOLDER", tmp_path)
    sources._read.cache_clear()
    try:
        broken = Source(
            "softmax_broken", ("rows.cu", "exponentials.cu", "softmax.cu"), T="float", V=1, ITEMS=4, LOG=0
        )
        with pytest.raises(DeviceError) as caught:
            compile_cuda(broken.text, broken.name, 90, op="softmax")
    finally:
        sources._read.cache_clear()
    message = str(caught.value)
    where = f"the CUDA kernel of 'softmax' does not compile for sm_90 at softmax.cu:{number}: const C most = = 1;//"
    assert message.startswith(where) and "error: expected an expression" in message


def test_what_was_compiled_is_kept(version: Any, tmp_path: Any, monkeypatch: Any) -> None:
    from plugrad_backends.cupy.kernels import compile

    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "kept"))
    text = 'extern "C" __global__ void k(float* x) { x[0] = 1; }'
    image = compile.cubin(text, "k", 90)
    (file,) = (tmp_path / "kept").iterdir()
    assert file.read_bytes() == image and image[:4] == b"\x7fELF"
    monkeypatch.setattr(compile, "compile_cuda", None)  # not called again
    assert compile.cubin(text, "k", 90) == image
    monkeypatch.undo()
    monkeypatch.setenv("CUPY_CACHE_DIR", str(file))  # where no folder can be made
    assert compile.cubin(text, "k", 90) == image


def test_an_unknown_source_cannot_be_used() -> None:
    with pytest.raises(KeyError, match="softmax_float32_v3_i4"):
        sources.find("softmax_float32_v3_i4")


def test_a_driver_that_refuses_is_told() -> None:
    class Refusing:
        def load(self, source: Source) -> str:
            return source.name

        def function(self, module: Any, symbol: str) -> str:
            return symbol

        def launch(self, *arguments: Any) -> None:
            raise DeviceError("CUDA_ERROR_INVALID_VALUE")

    kernel = Kernels(Refusing())("softmax_float32_v1_i4", "forward")
    with pytest.raises(DeviceError, match=r"'softmax_float32_v1_i4_forward' was not launched, grid \(1, 1\)"):
        kernel((1, 1), (32, 1), 0, 0, 1, 1)
    kernel((0, 1), (32, 1), 0, 0, 0, 1)  # nothing to do is nothing to launch
