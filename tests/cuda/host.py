"""plugrad's CUDA sources on the CPU: compiled by g++ with `host.h`, called as the driver would call them.

This proves arithmetic, indices and barriers; not speed, memory order, or the rounding of CUDA's own functions.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np

from plugrad_backends.cupy.kernels import source as sources
from plugrad_backends.cupy.kernels.source import Source

HEADER = Path(__file__).parent / "host.h"
FLAGS = ("-O1", "-std=c++17", "-fPIC", "-shared", "-fwrapv", "-U_FORTIFY_SOURCE", "-fno-strict-aliasing",
         "-ffp-contract=off", "-w")  # fmt: skip
TOGETHER = 8  # sources in one translation unit


def missing() -> str | None:
    """Why sources cannot be run here, or None."""
    return None if shutil.which("g++") else "g++ is not installed: CUDA sources cannot be run on the CPU"


class HostDriver:
    """A driver whose device is the CPU. Libraries are kept in `folder`, by their content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backwards = False  # whether the last thread of a block begins
        self._libraries: dict[str, ctypes.CDLL] = {}
        self._lock = threading.Lock()

    def load(self, source: Source) -> ctypes.CDLL:
        """The library of a source, and of its neighbours in `every`."""
        if source.name not in self._libraries:
            try:
                family = [each for each in sources.every() if each.files == sources.find(source.name).files]
                start = family.index(source) // TOGETHER * TOGETHER
                family = family[start : start + TOGETHER]
            except KeyError:  # made at run time
                family = [source]
            library = self.build(sources.unit(family, _bridges))
            self._libraries.update(dict.fromkeys((each.name for each in family), library))
        return self._libraries[source.name]

    def build_together(self, made: list[Source]) -> None:
        """Build sources that were made at run time in one go."""
        library = self.build(sources.unit(made, _bridges))
        self._libraries.update(dict.fromkeys((each.name for each in made), library))

    def build(self, text: str) -> ctypes.CDLL:
        """The library of a text."""
        text = f'#include "{HEADER}"\n{text}'
        key = hashlib.sha256((text + HEADER.read_text() + str(FLAGS)).encode()).hexdigest()[:32]
        target = self.folder / f"{key}.so"
        if not target.exists():
            made = self.folder / f"{key}.{os.getpid()}.so"
            ran = subprocess.run(
                ["g++", *FLAGS, "-x", "c++", "-", "-o", str(made)], input=text, capture_output=True, text=True
            )
            if ran.returncode:
                raise RuntimeError(f"g++ refuses a CUDA source:\n{ran.stderr[:4000]}")
            made.replace(target)
        library = ctypes.CDLL(str(target))
        library.host_launch.restype = ctypes.c_char_p
        return library

    def function(self, module: ctypes.CDLL, symbol: str) -> tuple[Any, Any]:
        """What launches, and what is launched."""
        return module.host_launch, ctypes.cast(module[f"run_{symbol}"], ctypes.c_void_p)

    def launch(self, function: Any, grid: Any, block: Any, extra: int) -> None:
        """Run a kernel to its end; RuntimeError where its threads do what CUDA's may not."""
        launch, body = function
        begin, where, of_size, _, end = (ctypes.c_void_p * 5).from_address(extra)
        assert (begin, of_size, end) == (1, 2, None), "what the driver is told by"
        three = ctypes.c_uint * 3
        with self._lock:  # a block's threads are fibers of one thread
            error = launch(
                body, three(*grid, 1), three(*block, 1), ctypes.c_void_p(where), int(self.backwards)
            )
        if error:
            raise RuntimeError(error.decode())


def _bridges(source: Source) -> str:
    """For each kernel a function of a pointer to the packed parameters."""
    parts = []
    for entry in source.entries.values():
        fields = " ".join(f"{c_type} a{i};" for i, (c_type, _) in enumerate(entry.parameters))
        values = ", ".join(f"p->a{i}" for i in range(len(entry.parameters)))
        parts.append(
            f"struct {entry.symbol}_ {{ {fields} }};\n"
            f'static_assert(sizeof({entry.symbol}_) - {sources.size(entry.format)} < 8, "packing");\n'
            f'extern "C" void run_{entry.symbol}(const void* at) {{\n'
            f"    const {entry.symbol}_* p = (const {entry.symbol}_*)at;\n    {entry.symbol}({values});\n}}\n"
        )
    return "".join(parts)


class Memory:
    """Arrays as a device has them: at addresses, between guards that no kernel may touch."""

    GUARD = 256

    def __init__(self) -> None:
        self._arrays: list[tuple[np.ndarray, int, int]] = []

    def array(self, values: Any, offset: int = 0) -> np.ndarray:
        """A copy of an array, `offset` elements behind an address that is a multiple of 256."""
        values = np.asarray(values)
        buffer = np.full(values.nbytes + 4 * self.GUARD, 0xA5, np.uint8)
        start = self.GUARD + -buffer.ctypes.data % self.GUARD + offset * values.itemsize
        self._arrays.append((buffer, start, start + values.nbytes))
        there = buffer[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
        there[...] = values
        return there

    def empty(self, shape: Any, dtype: Any) -> np.ndarray:
        """An array of garbage."""
        there = self.array(np.zeros(shape, dtype))
        there.reshape(-1).view(np.uint8)[:] = 0xFF
        return there

    def check(self) -> None:
        """AssertionError where something was written beside an array."""
        for buffer, start, end in self._arrays:
            assert (buffer[:start] == 0xA5).all(), "a kernel wrote before an array"
            assert (buffer[end:] == 0xA5).all(), "a kernel wrote behind an array"


def at(array: np.ndarray | None) -> int:
    """The address of an array's first element; 0 for none."""
    return 0 if array is None else array.ctypes.data
