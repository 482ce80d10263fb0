"""Products of matrices on OpenCL devices, in both schedules, beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import backend_of, scheduled_as_gpu

SHAPES = [
    ((2, 3), (3, 4)),
    ((7, 19), (19, 33)),
    ((1, 5), (5, 1)),
    ((1, 21), (21, 17)),
    ((13, 18), (18, 1)),
    ((3, 1, 5, 6), (2, 6, 20)),
    ((4, 5, 6), (6, 7)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((2, 3, 2, 5), (2, 1, 5, 18)),
]
LARGE = [((130, 70), (70, 131)), ((200, 600), (600, 150)), ((6, 1, 40, 30), (1, 5, 30, 67))]
DTYPES = [np.dtype(d) for d in ("f4", "f8", "i4", "u8", "i1", "f2", "?", "c8", "c16")]


@pytest.fixture(scope="module", params=["pocl", "pocl as a GPU", "intel", "intel as a GPU", "oclgrind"])
def backend(request):
    """The backend of a device; "as a GPU" with the schedule of one."""
    made = backend_of(request.param.split()[0])
    return scheduled_as_gpu(made) if "GPU" in request.param else made


def random(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    if dtype.kind in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    x = rng.standard_normal(shape)
    if dtype.kind == "b":
        return x > 1
    return (x + 1j * rng.standard_normal(shape) if dtype.kind == "c" else x).astype(dtype)


def laid_out(backend, x, how):
    """The array on the device: dense, transposed in memory, with gaps, or in negative steps."""
    if how == "transposed":
        turned = backend.from_numpy(np.ascontiguousarray(x.mT))
        return turned.permute((*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
    if how == "strided":
        large = np.zeros((*x.shape[:-2], 2 * x.shape[-2] + 1, 3 * x.shape[-1] + 1), x.dtype)
        large[..., 1::2, 1::3] = x
        return backend.from_numpy(large).basic_index((..., slice(1, None, 2), slice(1, None, 3)))
    if how == "reversed":
        back = (..., slice(None, None, -1), slice(None, None, -1))
        return backend.from_numpy(np.ascontiguousarray(x[back])).basic_index(back)
    return backend.from_numpy(x)


HOW = ["dense", "transposed", "strided", "reversed"]


def check(backend, a, b, how_a="dense", how_b="dense"):
    half = a.dtype == np.float16
    want = np.matmul(a.astype("f4"), b.astype("f4")).astype("f2") if half else np.matmul(a, b)
    y = backend.matmul(laid_out(backend, a, how_a), laid_out(backend, b, how_b))
    assert y.dtype == want.dtype and y.sig.is_dense
    if want.dtype.kind in "fc":
        e = {"e": 2e-3, "f": 2e-5, "F": 2e-5}.get(want.dtype.char, 1e-13)
        np.testing.assert_allclose(y.get(), want, rtol=e, atol=20 * e)
    else:
        np.testing.assert_array_equal(y.get(), want)


@pytest.mark.parametrize("how", [0, 2, 3])
@pytest.mark.parametrize("shapes", SHAPES)
def test_shapes_and_layouts(backend, shapes, how):
    a, b = (random(s, np.dtype("f4"), i) for i, s in enumerate(shapes))
    for i, one in enumerate(HOW):
        check(backend, a, b, one, HOW[(i + how) % 4]) if how < 4 else check(
            backend, a[..., ::-1], b, one, one
        )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shapes", SHAPES[:6])
def test_dtypes(backend, shapes, dtype):
    a, b = (random(s, dtype, i) for i, s in enumerate(shapes))
    check(backend, a, b)
    check(backend, a, b, "transposed", "strided")


@pytest.mark.parametrize("shapes", LARGE)
def test_large(backend, shapes):
    if backend.device.found.is_interpreter:
        pytest.skip("an interpreter is too slow for it")
    a, b = (random(s, np.dtype("f4"), i) for i, s in enumerate(shapes))
    for one, other in [
        ("dense", "dense"),
        ("dense", "transposed"),
        ("transposed", "dense"),
        ("strided", "reversed"),
    ]:
        check(backend, a, b, one, other)


def test_float16_is_summed_in_float32(backend):
    a = np.full((1, 3000), 1, np.float16)
    assert (
        backend.matmul(backend.from_numpy(a), backend.from_numpy(a.T)).get() == 3000
    )  # float16 stays at 2048


def test_nan_and_infinity(backend):
    a = np.array([[1, np.nan], [np.inf, 1], [np.inf, 0]], np.float32)
    b = np.array([[1, 0, 1], [1, 2, -np.inf]], np.float32)
    with np.errstate(invalid="ignore"):
        check(backend, a, b)


def test_vectors(backend):
    a, x, z = (
        random((5, 7), np.dtype("f8"), 1),
        random((7,), np.dtype("f8"), 2),
        random((5,), np.dtype("f8"), 3),
    )
    ra, rx, rz = map(backend.from_numpy, (a, x, z))
    np.testing.assert_allclose(backend.mv(ra, rx).get(), a @ x)
    np.testing.assert_allclose(backend.vm(rz, ra).get(), z @ a)
    y = backend.dot(rx, rx)
    assert y.shape == ()
    np.testing.assert_allclose(y.get(), x @ x)
    np.testing.assert_allclose(backend.mv(ra, rx.basic_index((slice(None, None, -1),))).get(), a @ x[::-1])


def test_a_new_shape_builds_nothing(backend):
    def run(m, n, k):
        a, b = (random(s, np.dtype("f4"), 0) for s in ((m, k), (n, k)))
        for one, other in (("dense", "dense"), ("transposed", "dense"), ("dense", "transposed")):
            check(backend, a, b.T.copy(), one, other)

    run(20, 30, 40)
    before = backend.device.builds
    run(25, 36, 47)
    run(65, 66, 17)
    assert backend.device.builds == before


def test_matrices_that_do_not_fit(backend):
    a = backend.from_numpy(np.zeros((2, 3), np.float32))
    with pytest.raises(RuntimeError, match=r"\[2, 3\] and \[2, 3\] cannot be multiplied.* 3 elements, .* 2$"):
        backend.matmul(a, a)


@pytest.mark.parametrize("name", ["pocl", "intel"])
@pytest.mark.parametrize("register", [16, 32, 64])
def test_registers_of_other_sizes(name, register):
    """Tiles as they are on processors with shorter vectors."""
    from plugrad_backends.opencl.device import Device
    from plugrad_backends.opencl.matmul import Products

    device = backend_of(name).device
    own = Device(device.found, device.capabilities)
    own.functions = device.functions
    products = Products(own)
    products.register, products.vectors = register, 4 if register == 64 else 2
    for dtype in (np.float32, np.float64):
        for m, k, n in ((23, 17, 70), (1, 40, 33), (5, 21, 9)):
            a, b = random((m, k), np.dtype(dtype), 0), random((k, n), np.dtype(dtype), 1)
            for turned in (False, True):
                raws = []
                for x in (a, b.T if turned else b):
                    raw = own.empty(x.shape, x.dtype)
                    raw.set(x)
                    raws.append(raw)
                y = products(raws[0], raws[1].permute((1, 0)) if turned else raws[1])
                np.testing.assert_allclose(y.get(), a @ b, rtol=2e-4, atol=1e-4)


def test_long_sums(backend):
    """Sums of many products keep their digits, and a product of more than one part is the sum of them."""
    if backend.device.found.is_interpreter:
        pytest.skip("an interpreter is too slow for it")
    for m, n in ((7, 70), (20, 17), (1, 3), (19, 1)):
        a, b = random((m, 5000), np.dtype("f4"), 0), random((5000, n), np.dtype("f4"), 1)
        want = a.astype("f8") @ b.astype("f8")
        for how in ("dense", "transposed"):
            y = backend.matmul(laid_out(backend, a, how), laid_out(backend, b, how))
            assert np.abs(y.get() - want).max() < (2e-3 if not backend.device.is_cpu else 3e-4)
