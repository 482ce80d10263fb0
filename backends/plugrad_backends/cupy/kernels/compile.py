"""CUDA sources to machine code, by NVRTC: no driver and no device is needed.

The code is a cubin for one architecture, not PTX, which an older driver than the compiler would refuse. Denormal numbers
count, other than in CuPy's own kernels.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from plugrad.errors import DeviceError

__all__ = ["Compiled", "Resources", "compile_cuda", "cubin", "resources"]


class Compiled(NamedTuple):
    """A cubin, and what the compiler said."""

    image: bytes
    log: str


class Resources(NamedTuple):
    """What ptxas reports of a kernel: registers a thread, and bytes."""

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int


def compile_cuda(text: str, name: str, arch: int, options: Sequence[str] = (), op: str = "") -> Compiled:
    """The cubin of a source for an architecture, such as 90, with ptxas's report in its log.

    Raises DeviceError that names `op` (or `name`), the line and the compiler's log.
    """
    nvrtc = _nvrtc()
    program = nvrtc.createProgram(text, f"{name}.cu", (), ())
    try:
        try:
            flags = (
                f"--gpu-architecture=sm_{arch}",
                "--std=c++17",
                "-Xptxas=-v",
                "-diag-suppress=177",
                *options,
            )
            nvrtc.compileProgram(program, flags)
        except nvrtc.NVRTCError as error:
            log = nvrtc.getProgramLog(program)
            raise DeviceError(_failure(op or name, arch, text, log, error)) from None
        return Compiled(nvrtc.getCUBIN(program), nvrtc.getProgramLog(program))
    finally:
        nvrtc.destroyProgram(program)


def cubin(text: str, name: str, arch: int) -> bytes:
    """The machine code of a source, from CuPy's folder of compiled kernels if it was compiled before on this machine.

    The folder is `CUPY_CACHE_DIR`, or `~/.cupy/kernel_cache`; where it cannot be written, nothing is kept.
    """
    version = "".join(map(str, _nvrtc().getVersion()))
    key = hashlib.sha256(f"{version} {arch} {text}".encode()).hexdigest()
    folder = Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache")
    kept = folder / f"plugrad_{key}.cubin"
    try:
        return kept.read_bytes()
    except OSError:
        image = compile_cuda(text, name, arch).image
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(image)
        os.replace(file.name, kept)  # whole, or not at all, also if two processes write it
    return image


def resources(log: str) -> dict[str, Resources]:
    """What each kernel of a compilation uses, by its symbol."""
    found = {}
    for symbol, rest in re.findall(
        r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry|\Z)", log, re.DOTALL
    ):
        memory = re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", rest
        )
        used = re.search(r"Used (\d+) registers", rest)
        if memory is None or used is None:
            raise ValueError(f"ptxas reports nothing of {symbol!r}: compile with -Xptxas=-v; found\n{log}")
        found[symbol] = Resources(int(used[1]), *map(int, memory.groups()))
    return found


def _failure(op: str, arch: int, text: str, log: str, error: Exception) -> str:
    """What an author needs: where, the line itself, and all that the compiler said."""
    place = re.search(r"^(\S+?)\((\d+)\): error", log, re.MULTILINE)
    where = ""
    if place is not None:
        line = _line(text, place[1], int(place[2]))
        where = f" at {place[1]}:{place[2]}" + (f": {line.strip()}" if line else "")
    return f"the CUDA kernel of {op!r} does not compile for sm_{arch}{where}\n{log.strip() or error}"


def _line(text: str, file: str, number: int) -> str | None:
    """The line that an error names, counted from where the text says that the file begins."""
    _, found, rest = text.partition(f'#line 1 "{file}"\n')
    lines = (rest if found else text).splitlines()
    return lines[number - 1] if 0 < number <= len(lines) else None


def _nvrtc() -> Any:
    """CuPy's low-level binding; DeviceError with the cure where it or NVRTC is missing."""
    try:
        from cupy_backends.cuda.libs import nvrtc

        nvrtc.getVersion()
    except Exception as error:  # CuPy raises its own class for a library that is not there
        raise DeviceError(
            f"CUDA kernels are compiled by NVRTC, which was not found ({error}): "
            'pip install "plugrad[cuda]" nvidia-cuda-nvrtc'
        ) from error
    return nvrtc
