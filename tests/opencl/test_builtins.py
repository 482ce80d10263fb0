"""Programs without the compiler's header: what is declared instead computes the same, and what is not has a way out."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pyopencl")

from plugrad_backends.opencl import builtins

from .conftest import backend_of

WIDTHS = (1, 4, 16)


@pytest.fixture
def pocl():
    return backend_of("pocl").device


def calls():
    """C of one call each, by the type of the result: an expression of `x` and `i`, 16 floats and 16 ints, of a width."""
    for w in WIDTHS:
        n = "" if w == 1 else str(w)
        x, i = ("x", "i") if w == 1 else (f"x.{_part(w)}", f"i.{_part(w)}")
        if w == 1:
            x, i = "x.s0", "i.s0"
        for name in sorted(builtins._UNARY):
            yield f"float{n}", f"{name}({x})"
        for name in sorted(builtins._BINARY):
            yield f"float{n}", f"{name}({x}, {x} * 0.75f)"
        for name in sorted(builtins._TERNARY):
            yield f"float{n}", f"{name}({x}, {x}, {x})"
        for name in sorted(builtins._TESTS):
            yield f"int{n}", f"{name}({x} / 0.0f)"
        for name in ("min", "max", "mul_hi"):
            yield f"int{n}", f"{name}({i}, {i} * 77777777)"
        yield f"uint{n}", f"abs({i})"
        yield f"int{n}", f"popcount({i})"
        yield f"float{n}", f"max({x}, -{x})"
        for target in ("char", "ushort", "int", "ulong", "double"):
            yield f"{target}{n}", f"convert_{target}{n}({i})"
        yield f"short{n}", f"convert_short{n}_sat_rte({x} * 50000.0f)"
        yield f"int{n}", f"as_int{n}({x})"
        yield f"double{n}", f"exp(convert_double{n}({x}))"
        yield f"long{n}" if w > 1 else "int", f"isnan(sqrt(-convert_double{n}({x})))"
        if w > 1:
            yield f"float{n}", f"vload{n}(0, memory)"
        yield f"float{n}", f"vload_half{n}(0, (__global const half *)memory)"
    yield "long", "get_global_id(0) + get_local_size(0)"


def _part(w):
    return "s" + "0123456789abcdef"[:w]


def test_lean_programs_compute_the_same(pocl):
    import pyopencl as cl

    lines, size = [], 0
    for kind, text in calls():
        lines.append(
            f"{{ const {kind} y = {text}; __global {kind} *to = (__global {kind} *)(out + {size}); *to = y; }}"
        )
        size += 128
    body = "\n".join(lines)
    source = f"""__kernel void kernel_calls(__global char *out, __global const float *memory) {{
        const float16 x = *(__global const float16 *)memory;
        const int16 i = convert_int16(x * 1000.0f) - 5000;
        __local int shared;
        shared = 1; barrier(CLK_LOCAL_MEM_FENCE); atomic_or((volatile __local int *)&shared, 6);
        {body}
        *(__global int *)(out + {size}) = shared;
    }}"""
    results = []
    memory = np.linspace(0.1, 8.9, 16, dtype=np.float32)
    for text, options in ((source, []), (builtins.lean(source), builtins.OPTIONS)):
        program = cl.Program(pocl.context, text).build(options)
        out = np.zeros(size + 128, np.uint8)
        flags = cl.mem_flags.COPY_HOST_PTR
        buffers = [cl.Buffer(pocl.context, flags, hostbuf=a) for a in (out, memory)]
        program.kernel_calls(pocl.queue, (1,), (1,), *buffers)
        cl.enqueue_copy(pocl.queue, out, buffers[0])
        results.append(out)
    for k, (_, text) in enumerate(calls()):
        pair = [r[128 * k : 128 * (k + 1)].tobytes() for r in results]
        assert pair[0] == pair[1], text
    assert results[0][size] == results[1][size] == 7


def test_a_compiler_that_does_not_take_it_gets_the_program_as_it_is(pocl, monkeypatch):
    monkeypatch.setattr(pocl, "is_lean", True)
    monkeypatch.setattr(builtins, "lean", lambda source: "#error another header")
    kernel = pocl.kernel(
        ("answer",), lambda: ("__kernel void kernel_answer(__global int *y) { *y = 42; }", [None])
    )
    assert not pocl.is_lean
    y = pocl.empty((1,), np.dtype(np.int32))
    pocl.launch(kernel, 1, (1,), y.buffer)
    host = np.zeros(1, np.int32)
    pocl.read(host, y.buffer, 0)
    assert host[0] == 42


def test_an_error_in_a_program_is_told_as_ever_and_changes_nothing(pocl):
    from plugrad.errors import DeviceError

    with pytest.raises(
        DeviceError, match=r"(?s)cannot build the kernel of 'wrong'.*nonsense.*the source was:"
    ):
        pocl.kernel(("wrong",), lambda: ("__kernel void kernel_wrong() { nonsense(); }", []))
    assert pocl.is_lean
