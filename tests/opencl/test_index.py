"""Reading and writing by index against NumPy: keys × layouts × dtypes, on each device."""

from __future__ import annotations

import numpy as np
import pytest

from plugrad.backend import for_device

from .conftest import backend_of, scheduled_as_gpu

cpu = for_device("cpu")
FULL = slice(None)
DTYPES = "?bBhilefdFD"
RNG = np.random.default_rng(6)


def array(shape, char: str = "f") -> np.ndarray:
    x = RNG.integers(0, 2 if char == "?" else 100, shape)
    return (x * (1 - 2j) if char in "FD" else x).astype(char)


#: Layouts of one array of shape (3, 4, 5): whole memory, and a view of it.
LAYOUTS = {
    "dense": ((3, 4, 5), (...,)),
    "strided": ((6, 4, 10), (slice(None, None, 2), slice(None), slice(1, None, 2))),
    "turned": ((3, 4, 5), (slice(None, None, -1), slice(None), slice(None, None, -1))),
    "picked": ((3, 2, 4, 5), (slice(None), 1)),
    "cropped": ((4, 6, 7), (slice(1, None), slice(0, 4), slice(2, None))),
}
MASK = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]], bool)
KEYS = {
    "one": (np.array([2, 0, 2, -1]),),
    "last": (FULL, FULL, np.array([4, -5, 0])),
    "middle": (FULL, np.array([[3, 1], [0, -1]])),
    "two": (np.array([2, 0, 1]), np.array([0, 3, -1])),
    "broadcast": (np.array([[2], [0]]), np.array([0, 3, -1])),
    "apart": (np.array([2, 0, 1]), FULL, np.array([0, 3, -1])),
    "all": (np.array([2, 0]), np.array([0, 3]), np.array([4, 4])),
    "none": (np.array([], np.int64),),
    "mask": (MASK,),
    "whole mask": (MASK[:, :, None] & np.array([True, False, True, True, False]),),
    "rows by a mask": (np.array([True, False, True]),),
    "columns by a mask": (FULL, np.array([True, False, False, True]), slice(1, 4)),
    "empty mask": (MASK & False,),
    "mask of no rows": (np.zeros((0, 4), bool),),
    "mask of no columns": (np.zeros((3, 0), bool),),
    "mask and indices": (MASK, np.array([1, 4, 0, 2])),
    "slices and indices": (slice(1, None), np.array([0, 2]), slice(None, None, -2)),
    "number and indices": (1, np.array([0, 2])),
    "apart with a number": (1, FULL, np.array([0, 2])),
    "new axes": (None, np.array([1, 0]), None, FULL, np.array([0, 2])),
    "ellipsis": (..., np.array([1, 0])),
    "list": ([2, 1],),
    "true": (True,),
    "false": (np.array(False), slice(1, None)),
}


def raw(opencl, value):
    """Arrays in a key, an array or a number on the device."""
    if isinstance(value, tuple):
        return tuple(raw(opencl, v) for v in value)
    return opencl.from_numpy(value) if isinstance(value, np.ndarray) else value


def both(opencl, layout: str, char: str = "f"):
    """A NumPy view and one of the device, and the memory of both."""
    shape, key = LAYOUTS[layout]
    x = array(shape, char)
    memory = opencl.from_numpy(x)
    return x[key], memory.basic_index(key), x, memory


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("key", KEYS)
def test_reads(opencl, key, layout):
    x, on_device, _, _ = both(opencl, layout)
    y = opencl.index_get(on_device, raw(opencl, KEYS[key]))
    np.testing.assert_array_equal(y.get(), x[KEYS[key]])
    assert y.dtype == x.dtype


@pytest.mark.parametrize("truth", [True, False])
def test_masks_without_dimensions(opencl, truth):
    x = array(())
    on_device, key = opencl.from_numpy(x), np.array(truth)
    np.testing.assert_array_equal(opencl.index_get(on_device, (raw(opencl, key),)).get(), x[key])
    x[key] = 7
    opencl.setitem(on_device, (raw(opencl, key),), 7)
    np.testing.assert_array_equal(on_device.get(), x)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("key", KEYS)
def test_writes(opencl, key, layout):
    x, on_device, host, memory = both(opencl, layout)
    shape = x[KEYS[key]].shape
    for value in (array(shape), array(shape[-1:]), array((1, *shape)), array(()), 7, array(shape, "l")):
        if key == "whole mask" and np.ndim(value) > 1:  # which NumPy refuses
            continue
        x[KEYS[key]] = value
        assert opencl.setitem(on_device, raw(opencl, KEYS[key]), raw(opencl, value)) is on_device
        np.testing.assert_array_equal(memory.get(), host)


@pytest.mark.parametrize("key", KEYS)
def test_adds(opencl, key):
    for layout in ("dense", "cropped"):
        x, on_device, _, _ = both(opencl, layout)
        values = array(x[KEYS[key]].shape)
        y = opencl.index_put(on_device, raw(opencl, values), raw(opencl, KEYS[key]), True)
        np.add.at(x, KEYS[key], values)
        np.testing.assert_array_equal(y.get(), x)


@pytest.mark.parametrize("char", DTYPES)
def test_dtypes(opencl, char):
    x, on_device, _, _ = both(opencl, "strided", char)
    i = np.array([2, 0, 2])
    index = opencl.from_numpy(i)
    source, rows = array((3, 4, 5), char), array((3, 40), char)
    np.testing.assert_array_equal(opencl.take(on_device, index, 0).get(), x[i])
    table = array((3, 40), char)
    y = opencl.setitem(opencl.from_numpy(table), (index,), opencl.from_numpy(rows))
    table[i] = rows
    np.testing.assert_array_equal(y.get(), table)
    for a, b in ((x, source), (table, rows)):
        y = opencl.index_add(opencl.from_numpy(a), opencl.from_numpy(b), index, 0)
        expected = a.copy()
        np.add.at(expected, i, b)
        np.testing.assert_array_equal(y.get(), expected)
        assert y.dtype == a.dtype


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_index_for_each_element(opencl, layout, axis):
    x, on_device, _, _ = both(opencl, layout)
    n = x.shape[axis]
    for shape in ((3, 4, 5), (2, 3, 2), (1, 4, 5), (2, 0, 2)):
        shape = tuple(6 if i == axis and m else m for i, m in enumerate(shape))
        i = RNG.integers(0, n, shape)
        src, index = array(shape), opencl.from_numpy(i)
        values = opencl.from_numpy(src)
        np.testing.assert_array_equal(opencl.gather(on_device, index, axis).get(), cpu.gather(x, i, axis))
        expected = cpu.scatter_add(x, src, i, axis)
        np.testing.assert_array_equal(opencl.scatter_add(on_device, values, index, axis).get(), expected)
        expected = cpu.scatter_fill(x, i, axis, 7)
        np.testing.assert_array_equal(opencl.scatter_fill(on_device, index, axis, 7).get(), expected)
        expected = cpu.embed_gathered(src, i, axis, (3, 4, 5))
        np.testing.assert_array_equal(opencl.embed_gathered(values, index, axis, (3, 4, 5)).get(), expected)
        expected = cpu.scatter(x, src, i, axis)
        np.testing.assert_array_equal(opencl.scatter(on_device, values, index, axis).get(), expected)
        larger = opencl.from_numpy(np.pad(src, 1)).basic_index((slice(1, None),) * 3)
        np.testing.assert_array_equal(opencl.scatter(on_device, larger, index, axis).get(), expected)


def test_tables(opencl):
    table, i = array((7, 5)), np.array([[0, 6, 3], [3, 3, 1]])
    y = opencl.embedding(opencl.from_numpy(table), opencl.from_numpy(i), None)
    np.testing.assert_array_equal(y.get(), table[i])
    g = array((2, 3, 5))
    for padding in (None, 3):
        y = opencl.embedding_backward(opencl.from_numpy(g), opencl.from_numpy(i), padding, 7)
        np.testing.assert_array_equal(y.get(), cpu.embedding_backward(g, i, padding, 7))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (2, 0, 3), (3, 4), (2, 3, 5), (3000,)])
def test_places(opencl, shape):
    for x in (array(shape, "?"), array(shape, "l") % 3, np.zeros(shape, "f")):
        found = opencl.nonzero(opencl.from_numpy(x))
        expected = np.nonzero(np.atleast_1d(x))
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.get(), b)
        np.testing.assert_array_equal(opencl.argwhere(opencl.from_numpy(x)).get(), np.argwhere(x))


def test_what_is_written_may_be_read_from_the_same_memory(opencl):
    x = np.arange(12.0)
    for value in (slice(None, None, -1), slice(None)):
        y, i = x.copy(), np.arange(12)[::-1].copy()
        on_device = opencl.from_numpy(y)
        opencl.setitem(on_device, (opencl.from_numpy(i),), on_device.basic_index((value,)))
        y[i] = y.copy()[value]
        np.testing.assert_array_equal(on_device.get(), y)


def test_the_last_one_wins_and_sums_are_in_order(opencl):
    i = RNG.integers(0, 3, 50)
    values = RNG.normal(size=50).astype("f") * 10.0 ** RNG.integers(-3, 4, 50)
    values = values.astype("f")
    index, source = opencl.from_numpy(i), opencl.from_numpy(values)
    expected = np.zeros(3, "f")
    np.add.at(expected, i, values)
    y = opencl.index_add(opencl.from_numpy(np.zeros(3, "f")), source, index, 0)
    np.testing.assert_array_equal(y.get(), expected)
    expected[i] = values
    np.testing.assert_array_equal(opencl.setitem(y, (index,), source).get(), expected)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((np.array([0, 3]),), "index 3 is out of bounds for axis 0 with size 3"),
        ((np.array([-4]),), "index -4 is out of bounds for axis 0 with size 3"),
        ((FULL, np.array([1]), np.array([5])), "index 5 is out of bounds for axis 2 with size 5"),
        ((np.array([0, 1]), np.array([0, 1, 2])), "could not be broadcast together with shapes (2,) (3,)"),
        ((np.zeros((3, 5), bool),), "size of axis is 4 but size of corresponding boolean axis is 5"),
        ((np.array([0.5]),), "arrays used as indices must be of integer (or boolean) type"),
        ((np.array([0]), 0, 0, 0), "too many indices"),
    ],
)
def test_keys_that_do_not_fit(opencl, key, text):
    x = array((3, 4, 5))
    on_device, key = opencl.from_numpy(x), raw(opencl, key)
    with pytest.raises(IndexError) as error:
        opencl.index_get(on_device, key)
    assert text in str(error.value)
    with pytest.raises(IndexError):
        opencl.setitem(on_device, key, 1)
    np.testing.assert_array_equal(on_device.get(), x)


def test_indices_that_do_not_fit(opencl):
    x, bad = opencl.from_numpy(array((3, 4))), opencl.from_numpy(np.array([[4, 0]]))
    for call in (
        lambda: opencl.gather(x, bad, 1),
        lambda: opencl.scatter_add(x, bad, bad, 1),
        lambda: opencl.scatter_fill(x, bad, 1, 0),
        lambda: opencl.take(x, bad, 1),
        lambda: opencl.take(opencl.from_numpy(array((2, 0))), bad.reshape((2,)), 1),
    ):
        with pytest.raises(IndexError, match="index 4 is out of bounds for axis 1 with size"):
            call()
    with pytest.raises(
        ValueError, match=r"shape \(3,\) could not be broadcast to indexing result of shape \(2, 4\)"
    ):
        opencl.setitem(x, (opencl.from_numpy(np.array([0, 1])),), opencl.from_numpy(array((3,))))


def test_a_new_shape_builds_nothing(opencl):
    def walk(n: int, width: int) -> None:
        i = np.arange(n) % 3
        x, index, g = (
            opencl.from_numpy(array((3, width))),
            opencl.from_numpy(i),
            opencl.from_numpy(array((n, width))),
        )
        opencl.index_add(x, g, index, 0)
        opencl.take(x, index, 0)
        opencl.nonzero(x)

    walk(3, 4)
    before = opencl.device.builds
    walk(7, 9)
    assert opencl.device.builds == before


def random_key(rng, shape) -> tuple:
    """A key of arrays, masks, numbers, slices and None, with an array or a mask in it."""
    common = [(), (2,), (3, 1), (3, 2)][rng.integers(4)]
    key: list = []
    for n in shape:
        kind = rng.integers(6)
        if kind < 2:
            key.append(rng.integers(-n, n, common))
        elif kind == 2:
            key.append(int(rng.integers(-n, n)))
        elif kind == 3:
            key += [None, slice(None)]
        else:
            key.append(slice(int(rng.integers(0, 2)), None, int(rng.choice([1, 2]))))
    at = int(rng.integers(len(shape)))
    if not any(isinstance(k, np.ndarray) for k in key):
        key = [slice(None)] * at + [rng.random(shape[at]) < 0.5]
    return tuple(key)


@pytest.mark.parametrize("seed", range(25))
def test_random_keys(opencl, seed):
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(1, 6))
    memory = rng.integers(0, 100, (4,) * ndim).astype("f")
    steps = tuple(slice(None, None, int(rng.choice([1, 2, -1]))) for _ in range(ndim))
    axes = tuple(int(i) for i in rng.permutation(ndim))
    on_device = opencl.from_numpy(memory)
    x, view = memory[steps].transpose(axes), on_device.basic_index(steps).permute(axes)
    key = random_key(rng, x.shape)
    there, expected = raw(opencl, key), x[key]
    np.testing.assert_array_equal(opencl.index_get(view, there).get(), expected)
    values = rng.integers(0, 100, expected.shape[int(rng.integers(0, expected.ndim + 1)) :]).astype("f")
    added = x.copy()
    np.add.at(
        added, key, np.broadcast_to(values, expected.shape).copy()
    )  # NumPy's own broadcasting here is wrong
    y = opencl.index_put(view, opencl.from_numpy(values), there, True)
    np.testing.assert_array_equal(y.get(), added)
    x[key] = values
    opencl.setitem(view, there, opencl.from_numpy(values))
    np.testing.assert_array_equal(on_device.get(), memory)


def test_equal_signatures_elsewhere_in_memory(opencl):
    x, i = array((6, 5)), np.array([0, 2, 1, 0, 1, 2])
    memory, index = opencl.from_numpy(x), opencl.from_numpy(i)
    for start in (0, 3, 1):
        for at in (0, 3):
            part, places = (
                memory.basic_index((slice(start, start + 3),)),
                index.basic_index((slice(at, at + 3),)),
            )
            host, there = x[start : start + 3], i[at : at + 3]
            np.testing.assert_array_equal(opencl.take(part, places, 0).get(), host[there])
            values = array((3, 5))
            host[there] = values
            opencl.setitem(part, (places,), opencl.from_numpy(values))
            np.testing.assert_array_equal(memory.get(), x)


@pytest.mark.parametrize("name", ["pocl", "intel"])
def test_the_schedule_of_gpus_on_cpus(name):
    """Sizes that are too large for an interpreter."""
    gpu = scheduled_as_gpu(backend_of(name))
    table, g, i = array((200, 130)), array((900, 130)), RNG.integers(-200, 200, 900)
    index = gpu.from_numpy(i)
    np.testing.assert_array_equal(gpu.take(gpu.from_numpy(table), index, 0).get(), table[i])
    expected = cpu.embed_add(g, (i,), table.shape)
    np.testing.assert_array_equal(gpu.embed_add(gpu.from_numpy(g), (index,), table.shape).get(), expected)
    x, j = array((30000,)), RNG.integers(0, 500, 30000)
    expected = cpu.embed_add(x, (j,), (500,))
    np.testing.assert_array_equal(
        gpu.embed_add(gpu.from_numpy(x), (gpu.from_numpy(j),), (500,)).get(), expected
    )
    places = gpu.nonzero(gpu.from_numpy(x > 50))[0]
    np.testing.assert_array_equal(places.get(), np.nonzero(x > 50)[0])
    many = RNG.integers(0, 500, 100000)
    with pytest.raises(IndexError, match="index 500 is out of bounds for axis 0 with size 500"):
        many[70000] = 500
        gpu.take(gpu.from_numpy(np.zeros(500)), gpu.from_numpy(many), 0)
    order = gpu.argsort(gpu.from_numpy(x.reshape(3, 10000)), 1, False)
    np.testing.assert_array_equal(order.get(), cpu.argsort(x.reshape(3, 10000), 1, False))


@pytest.mark.parametrize(
    ("char", "value"), [("B", 300), ("B", -1), ("b", 200), ("i", 2**40), ("l", 2**70), ("i", np.nan)]
)
def test_numbers_that_do_not_fit(opencl, char, value):
    x = opencl.from_numpy(np.zeros(3, char))
    for key in ((slice(1, None), ...), (np.array([0, 2]),), (np.array([True, False, True]),), ...):
        with pytest.raises((OverflowError, ValueError)) as expected:
            np.zeros(3, char)[key] = value
        with pytest.raises(expected.type, match=str(expected.value)[:20]):
            opencl.setitem(x, raw(opencl, key), value)
    np.testing.assert_array_equal(x.get(), np.zeros(3, char))
