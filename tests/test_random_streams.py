"""The random streams: stored values of PyTorch 2.13 on x86-64, the Philox map, states, statistics, errors."""

from __future__ import annotations

import copy
import math
import pickle
import random
import zlib
from fractions import Fraction

import numpy as np
import pytest

from plugrad_backends.numpy.random import MT19937Stream, PhiloxStream, _fma

STREAMS = pytest.mark.parametrize("kind", [MT19937Stream, PhiloxStream])


def call(stream, name, *arguments):
    """A row of the tables; their shapes stand where the method has them."""
    return getattr(stream, name)(*arguments)


def assert_ulp(actual, expected, ulp=6):
    """Logarithms and cosines differ between libraries; 6 covers a complex number's extra rounding."""
    expected = np.asarray(expected, actual.dtype)
    real = actual.real.dtype
    np.testing.assert_array_almost_equal_nulp(actual.view(real), expected.view(real), ulp)


# --- MT19937Stream: what PyTorch gave

# seed, rand(3), then randn(2, dtype=float64), then randint(0, 1000, (2,))
SEEDS = [
    (0, [0.4962566, 0.7682218, 0.08847743], [0.3643381903341592, 0.1343963285536275], [503, 497]),
    (1, [0.7576316, 0.27931088, 0.40306926], [0.7244127880638771, -0.7022189926365491], [341, 759]),
    (42, [0.88226926, 0.91500396, 0.38286376], [-0.8293191865182478, -1.6137069712013394], [924, 950]),
    (2**31, [0.91273654, 0.8284304, 0.058945715], [-0.6543551645515544, -0.5075536146062819], [117, 786]),
    (2**40 + 5, [0.8302519, 0.12611091, 0.9074697], [-2.1659247230057086, -0.8483762629967013], [233, 88]),
    (-1, [0.9937994, 0.57130635, 0.57000804], [-1.7270127119493883, 1.3217905016673779], [114, 329]),
    (-(2**63), [0.4962566, 0.7682218, 0.08847743], [0.3643381903341592, 0.1343963285536275], [503, 497]),
    (2**64 - 1, [0.9937994, 0.57130635, 0.57000804], [-1.7270127119493883, 1.3217905016673779], [114, 329]),
]


@pytest.mark.parametrize("seed, uniforms, normals, integers", SEEDS)
def test_seeds(seed, uniforms, normals, integers):
    stream = MT19937Stream(seed)
    assert stream.initial_seed == seed % 2**64
    assert stream.uniform(3).tolist() == np.array(uniforms, np.float32).tolist()
    assert_ulp(stream.normal(2, np.float64), normals)
    assert stream.randint(0, 1000, 2).tolist() == integers


# After manual_seed(42), bit for bit.
EXACT = [
    (("uniform", 4, "float32"), [0.88226926, 0.91500396, 0.38286376, 0.95930564]),
    (("uniform", 3, "float64"), [0.05815448596142969, 0.06291016742457756, 0.12358607277440903]),
    (("uniform", 4, "float16"), [0.8823, 0.915, 0.3828, 0.9595]),
    (("uniform", 2, "complex64"), [(0.88226926 + 0.91500396j), (0.38286376 + 0.95930564j)]),
    (("uniform", 4, "float32", -0.1, 0.1), [0.07645386, 0.083000794, -0.023427248, 0.09186113]),
    (("uniform", 3, "float64", -0.1, 0.1), [-0.08836910280771407, -0.08741796651508449, -0.0752827854451182]),
    (("uniform", 4, "float16", 2.0, 5.0), [4.65, 4.746, 3.148, 4.88]),
    (("randint", 0, 10, 6, "int64"), [2, 7, 6, 4, 6, 5]),
    (("randint", -5, 5, 6, "int8"), [-3, 2, 1, -1, 1, 0]),
    (("randint", 0, 2**28 - 1, 3, "int64"), [266460267, 199900607, 56755051]),
    (("randint", 0, 2**28, 3, "int64"), [199900595, 250975502, 127521863]),
    (("randint", -(2**62), 2**62, 2, "int64"), [2297359619001564595, 3702525538111689998]),
    (("randint", 0, 2, 6, "bool"), [False, True, False, False, False, True]),
    (("randint", 0, 7, 5, "float32"), [1.0, 2.0, 4.0, 5.0, 4.0]),
    (("permutation", 0), []),
    (("permutation", 1), [0]),
    (("permutation", 9), [6, 4, 0, 7, 5, 8, 3, 2, 1]),
    (("bernoulli", 0.3, 8), [True, True, True, True, False, False, False, False]),
    (("bernoulli", np.full(8, 0.3), 8), [True, True, True, True, False, False, False, False]),
    (("bernoulli", np.full(8, 0.3, np.float32), 8), [False, False, False, False, False, False, True, False]),
]


@pytest.mark.parametrize("row, expected", EXACT, ids=str)
def test_exact_values(row, expected):
    actual = call(MT19937Stream(42), *row)
    assert actual.tolist() == np.array(expected, actual.dtype).tolist()
    if isinstance(row[-1], str):
        assert actual.dtype == row[-1]


# After manual_seed(42), the first three and the last three. Up to 15 numbers come one at a time, 16 as a
# block; of 17 all but the first come anew.
NORMALS = [
    (("normal", 3, "float32"), [0.33669037, 0.1288094, 0.23446237, 0.33669037, 0.1288094, 0.23446237]),
    (("normal", 15, "float32"), [0.33669037, 0.1288094, 0.23446237, 1.1102903, -1.689799, -0.9889599]),
    (("normal", 16, "float32"), [1.9269153, 1.4872841, 0.9007172, -0.5594302, -0.7688389, 0.7624454]),
    (("normal", 17, "float32"), [1.9269153, -0.15959747, -0.49739754, -0.2515753, 0.8598585, -0.30972677]),
    (("normal", 17, "float16"), [1.927, 1.643, -0.1595, 0.04175, -0.2515, 0.86]),
    (
        ("normal", 17, "float64"),
        [0.2995562877502637, 1.504572275678796, 1.2715909667771088]
        + [0.8651734647119074, 0.855215961472287, 0.2494118796915765],
    ),
    (
        ("normal", 3, "complex64"),
        [0.23807603 + 0.09108201j, 0.16578993 + 0.16287005j, -0.79397935 - 0.13175401j] * 2,
    ),
    (("normal", 4, "float32", 5.0, 0.1), [5.033669, 5.012881, 5.023446, 5.012881, 5.023446, 5.023033]),
    (
        ("normal", 3, "float64", -1.7, 0.3),
        [-1.5989928936848423, -1.661357178459023, -1.6296612909915404] * 2,
    ),
]


@pytest.mark.parametrize("row, expected", NORMALS, ids=lambda value: str(value)[:30])
def test_normal_values(row, expected):
    actual = call(MT19937Stream(42), *row)
    assert actual.dtype == row[2]
    assert_ulp(np.concatenate([actual[:3], actual[-3:]]), expected)


def test_a_float16_is_rounded_by_way_of_float32():
    # The second number is just above the middle of 0.4312 and 0.4314, and in float32 it is the middle.
    assert MT19937Stream(1997).normal(2, "float16")[1] == np.float16(0.4312)


# After manual_seed(1): crc32 of the bytes, little-endian. From 1000 to 1001 some numbers round up to 1001.
DIGESTS = [
    (("uniform", 100003, "float32"), 2904416436),
    (("uniform", 100003, "float64"), 586488971),
    (("uniform", 100003, "float16"), 1003317065),
    (("uniform", 100003, "float32", -1 / 3, 1 / 3), 3729224334),
    (("uniform", 100003, "float64", -1 / 3, 1 / 3), 2270392075),
    (("uniform", 100003, "float32", 1000.0, 1001.0), 475025688),
    (("uniform", 100003, "float16", -1.0, 1.0), 1452095902),
    (("randint", 0, 60000, 100003), 181119789),
    (("randint", -7, 2**40, 100003), 2372670304),
    (("permutation", 100003), 213689341),
    (("bernoulli", 0.25, 100003), 3103123225),
]


@pytest.mark.parametrize("row, digest", DIGESTS, ids=str)
def test_long_results(row, digest):
    assert zlib.crc32(call(MT19937Stream(1), *row).tobytes()) == digest


# After manual_seed(1), for n from 0 to 40: normal(n), uniform(1). The crc32 of all the uniforms tells how
# much each size of normal consumed; the sum of the normals, which ones they were.
CONSUMPTION = [
    ("float32", 531484615, -8.092170744574105),
    ("float64", 693682096, -17.8359198433722),
    ("float16", 3721585942, -16.3014897108078),
    ("complex64", 3518300653, -4.187954617198557 - 18.830022871261463j),
]


@pytest.mark.parametrize("dtype, digest, total", CONSUMPTION)
def test_what_normals_of_every_size_consume(dtype, digest, total):
    stream, uniforms, found = MT19937Stream(1), b"", 0
    for n in range(41):
        found += stream.normal(n, dtype).astype(complex).sum()
        uniforms += stream.uniform(1).tobytes()
    assert zlib.crc32(uniforms) == digest
    assert abs(found - total) < (1e-2 if dtype == "float16" else 1e-4)


# After manual_seed(0), one call after the other; the last three values. The second of a pair of normals waits
# through other calls and larger normals, and serves the next small one of any dtype.
PROGRAM = [
    (("normal", 3, "float64"), [1.5409961082440433, -0.2934289057609464, -2.1787893820745574]),
    (("uniform", 2, "float32"), [0.45562798, 0.6323063]),
    (("normal", 16, "float32"), [-0.85944563, 0.7501895, -0.58549756]),
    (("normal", 1, "float32"), [0.56843126]),
    (("bernoulli", 0.5, 4), [True, True, True]),
    (("normal", 1, "float64"), [0.40871574568577435]),
    (("permutation", 4), [2, 1, 0]),
    (("normal", 1, "float16"), [1.422]),
    (("uniform", 1, "float64"), [0.9492663379471606]),
    (("randint", 0, 2**40, 1), [762191250163]),
    (("normal", 2, "complex64"), [(0.60186476 - 0.24761681j), (1.193668 - 1.525548j)]),
    (("normal", 1, "float32"), [-1.3927414]),
]


def test_interleaved_calls():
    stream = MT19937Stream(0)
    for row, expected in PROGRAM:
        actual = call(stream, *row)[-3:]
        if row[0] == "normal":
            assert_ulp(actual, expected)
        else:
            assert actual.tolist() == np.array(expected, actual.dtype).tolist()


def test_seeding_forgets_the_waiting_normal():
    stream = MT19937Stream(3)
    first = stream.normal(1)
    stream.seed(3)
    assert stream.normal(1) == first


def test_a_fresh_state_has_the_bytes_of_pytorch():
    state = MT19937Stream(3).get_state()
    assert (state.dtype, state.shape) == (np.uint8, (5056,))
    assert zlib.crc32(state.tobytes()) == 2556627705


def test_the_permutation_of_very_many():
    draws = np.random.RandomState(5).randint(0, 2**32, 600, np.uint32).tolist()
    order: list[int] = []
    for i in range(300):
        j = ((draws[2 * i] << 32) + draws[2 * i + 1]) % (i + 1)
        order.append(i)
        order[i], order[j] = order[j], i
    stream = MT19937Stream(5)
    stream._many = 300
    assert stream.permutation(300).tolist() == order
    assert MT19937Stream(5)._long_permutation(300, chunk=7).tolist() == order
    assert MT19937Stream(5).permutation(300).tolist() != order


# --- MT19937Stream beside an installed PyTorch


def torch_call(torch, name, *arguments):
    if name in ("uniform", "normal"):
        shape, dtype, *bounds = arguments
        return getattr(torch.empty(shape, dtype=getattr(torch, dtype)), name + "_")(*bounds).numpy()
    if name == "randint":
        low, high, n, dtype = arguments
        return torch.randint(low, high, (n,), dtype=getattr(torch, dtype)).numpy()
    if name == "permutation":
        return torch.randperm(*arguments).numpy()
    p, n = arguments
    if isinstance(p, float):
        return torch.empty(n, dtype=torch.bool).bernoulli_(p).numpy()
    return torch.bernoulli(torch.from_numpy(p)).bool().numpy()


def random_call(rng):
    name = rng.choice(["uniform", "normal", "normal", "randint", "permutation", "bernoulli"])
    n = rng.choice([rng.randint(0, 40), rng.randint(0, 2000)])
    dtype = rng.choice(["float32", "float64", "float16"])
    if name == "uniform":
        low = rng.uniform(-3, 3)
        return name, n, rng.choice([dtype, "complex64"]), low, low + 10 ** rng.uniform(-4, 2)
    if name == "normal":
        return name, n, rng.choice([dtype, "complex128"]), 0.0, 10 ** rng.uniform(-3, 1)
    if name == "randint":
        low = rng.randint(-(2**30), 2**30)
        return name, low, low + rng.choice([1, 10, 2**28 - 1, 2**28, 2**50]), n, "int64"
    if name == "permutation":
        return name, n
    return name, rng.choice([rng.random(), np.random.RandomState(n).rand(n).astype(dtype)]), n


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31, 2**40 + 5, -1, -(2**63), 2**64 - 1])
def test_random_programs_as_pytorch_runs_them(seed):
    torch = pytest.importorskip("torch")
    rng, stream = random.Random(seed), MT19937Stream(seed)
    torch.manual_seed(seed)
    for _ in range(40):
        row = random_call(rng)
        actual, expected = call(stream, *row), torch_call(torch, *row)
        assert actual.dtype == expected.dtype
        if row[0] == "normal":
            assert_ulp(actual, expected, 8)  # to 4 before the scaling
        else:
            np.testing.assert_array_equal(actual, expected, err_msg=str(row))


def test_states_travel_to_pytorch_and_back():
    torch = pytest.importorskip("torch")
    stream = MT19937Stream(11)
    stream.normal(700), stream.normal(3)
    torch.set_rng_state(torch.from_numpy(stream.get_state()))
    assert_ulp(stream.normal(5), torch.randn(5).numpy())
    assert stream.uniform(700).tolist() == torch.rand(700).tolist()
    other = MT19937Stream(0)
    other.set_state(torch.get_rng_state().numpy())
    assert other.initial_seed == 11
    assert other.uniform(7).tolist() == torch.rand(7).tolist()


# --- PhiloxStream: the documented map


def philox_block(counter, key):
    """Philox4x64-10 in Python integers (Salmon, Moraes, Dror, Shaw 2011)."""
    mask = 2**64 - 1
    x = [counter >> 64 * i & mask for i in range(4)]
    keys = [key & mask, key >> 64]
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
        x = [(b >> 64) ^ x[1] ^ keys[0], b & mask, (a >> 64) ^ x[3] ^ keys[1], a & mask]
        keys = [keys[0] + 0x9E3779B97F4A7C15 & mask, keys[1] + 0xBB67AE8584CAA73B & mask]
    return x


def words(seed, offset, n):
    return [philox_block(offset + 1 + i // 4, seed % 2**64)[i % 4] for i in range(n)]


def test_philox_known_answer():
    expected = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox_block(0, 0) == expected
    assert np.random.Philox(key=0, counter=2**256 - 1).random_raw(4).tolist() == expected


@pytest.mark.parametrize("seed", [0, 7, -1, 2**40 + 5, 2**64 - 1])
def test_philox_calls_take_the_words_that_the_map_says(seed):
    stream, offset = PhiloxStream(seed), 0
    for n in (1, 4, 5, 0, 100):
        assert stream.uniform(n, np.float64).tolist() == [(w >> 11) / 2**53 for w in words(seed, offset, n)]
        offset += -(-n // 4)
        assert stream.offset == offset


def test_philox_results_from_words():
    w = words(9, 0, 40)
    units = np.array([v >> 40 for v in w]) / 2**24
    assert PhiloxStream(9).uniform(40).tolist() == units.tolist()
    assert PhiloxStream(9).uniform(40, np.float16).tolist() == units.astype(np.float16).tolist()
    assert PhiloxStream(9).uniform(20, np.complex64).tolist() == (units[0::2] + 1j * units[1::2]).tolist()
    assert PhiloxStream(9).randint(-3, 2**40, 40).tolist() == [v % (2**40 + 3) - 3 for v in w]
    assert PhiloxStream(9).bernoulli(0.3, 40).tolist() == [(v >> 11) < math.ceil(0.3 * 2**53) for v in w]
    chances = np.linspace(0, 1, 40, dtype=np.float32)
    assert PhiloxStream(9).bernoulli(chances, 40).tolist() == (units < chances).tolist()
    assert PhiloxStream(9).permutation(40).tolist() == sorted(range(40), key=lambda i: w[i])


@pytest.mark.parametrize("dtype, units, bound", [("float32", 2**24, 2**-20), ("float64", 2**53, 2**-49)])
@pytest.mark.parametrize("n", [1, 2, 7, 400])
def test_philox_normals_are_box_muller_of_pairs(dtype, units, bound, n):
    shift = 64 - units.bit_length() + 1
    u = np.array([(w >> shift) / units for w in words(3, 0, n + n % 2)])
    radius = np.sqrt(-2 * np.log1p(-u[0::2].astype(np.longdouble)))
    angle = 2 * np.arccos(np.longdouble(-1)) * u[1::2]
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:n]
    stream = PhiloxStream(3)
    actual = stream.normal(n, dtype)
    assert (np.abs(actual - expected) <= bound * np.repeat(radius, 2)[:n]).all()
    if dtype == "float32":  # of which NumPy promises more
        assert_ulp(actual, expected.astype(dtype), 1)
    assert stream.offset == -(-(n + n % 2) // 4)


# --- both streams


@STREAMS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("low, high", [(-0.1, 0.1), (2.0, 5.0), (-1e-3, 7.0), (1000.0, 1001.0), (1e-9, 1.0)])
def test_scaling_rounds_once(kind, dtype, low, high):
    real = np.dtype(dtype).type
    units, values = kind(4).uniform(300, dtype), kind(4).uniform(300, dtype, low, high)
    start, width = Fraction(float(real(low))), Fraction(float(real(high) - real(low)))
    for unit, value in zip(units, values, strict=True):
        exact = Fraction(float(unit)) * width + start
        distance = abs(Fraction(float(value)) - exact)
        neighbours = np.nextafter(value, real(-np.inf)), np.nextafter(value, real(np.inf))
        assert all(distance <= abs(Fraction(float(other)) - exact) for other in neighbours)


@pytest.mark.parametrize("dtype, bits", [("float32", 23), ("float64", 52)])
def test_fma_where_rounding_twice_goes_wrong(dtype, bits):
    # (1 + e)(1 - e) is just below 1, which is half a unit of the sum: not a tie, so it rounds down.
    for sign in (1, -1):
        x, shift = np.array([sign * (1 + 2.0**-bits)], dtype), sign * (2.0 ** (bits + 1) + 2)
        assert _fma(x, 1 - 2.0**-bits, shift).tolist() == [shift]


@pytest.mark.parametrize("scale, shift", [(1e305, 1.0), (2.0, 1e305), (math.inf, 1.0), (1.0, math.inf)])
def test_fma_of_huge_numbers_stays_a_number(scale, shift):
    x = np.array([0.5, 0.25])
    assert _fma(x, scale, shift).tolist() == (x * scale + shift).tolist()


@STREAMS
def test_shapes_and_dtypes(kind):
    stream = kind(0)
    results = {
        "float16": stream.uniform((2, 3), "float16"),
        "complex128": stream.normal((2, 3), "complex128"),
        "int16": stream.randint(0, 9, (2, 3), "int16"),
        "bool": stream.bernoulli(0.5, (2, 3)),
    }
    for dtype, result in results.items():
        assert (result.dtype, result.shape, result.flags.c_contiguous) == (dtype, (2, 3), True)
    for scalar in (stream.uniform(()), stream.normal((), "complex64"), stream.bernoulli(0.5, ())):
        assert type(scalar) is np.ndarray and scalar.shape == ()
    assert stream.bernoulli(np.array([0.0, 1.0]), (3, 2)).tolist() == [[False, True]] * 3
    assert stream.randint(np.int8(-128), np.int8(127), 5, "int8").dtype == np.int8


@STREAMS
def test_the_full_range_of_integers(kind):
    full, half = kind(6).randint(-(2**63), 2**63, 50), kind(6).randint(0, 2**63, 50)
    assert full.min() < 0 < full.max()
    assert [value % 2**63 for value in full.tolist()] == half.tolist()


@STREAMS
def test_nothing_drawn_nothing_consumed(kind):
    stream = kind(8)
    before = stream.get_state()
    for result in (stream.uniform(0), stream.normal((3, 0)), stream.bernoulli(0.5, 0), stream.permutation(0)):
        assert result.size == 0
    assert (stream.get_state() == before).all()


@STREAMS
@pytest.mark.parametrize("how", ["deepcopy", "pickle", "state"])
def test_states_round_trip(kind, how):
    stream = kind(21)
    stream.normal(20), stream.uniform(5), stream.normal(3)
    if how == "state":
        twin = kind(0)
        twin.set_state(pickle.loads(pickle.dumps(stream.get_state())))
    else:
        twin = copy.deepcopy(stream) if how == "deepcopy" else pickle.loads(pickle.dumps(stream))
    assert twin.initial_seed == 21
    for row in (("normal", 5, "float64"), ("uniform", 700, "float32"), ("permutation", 9)):
        assert call(twin, *row).tolist() == call(stream, *row).tolist()


@STREAMS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments(kind, dtype):
    n, stream = 40_000, kind(123)
    uniform, normal = stream.uniform(n, dtype), stream.normal(n, dtype)
    assert uniform.min() >= 0 and uniform.max() < 1
    # mean, variance, and fourth moment of the normals: each within five standard errors
    for values, mean, variance, fourth in ((uniform, 0.5, 1 / 12, 1 / 80), (normal, 0, 1, 3)):
        deviations = values.astype(np.float64) - mean
        assert abs(deviations.mean()) < 5 * math.sqrt(variance / n)
        assert abs((deviations**2).mean() - variance) < 5 * math.sqrt((fourth - variance**2) / n)
    assert abs((normal.astype(np.float64) ** 4).mean() - 3) < 5 * math.sqrt(96 / n)
    assert abs(np.corrcoef(normal[0::2], normal[1::2])[0, 1]) < 5 / math.sqrt(n / 2)


@STREAMS
def test_counts(kind):
    n, stream = 40_000, kind(5)
    counts = np.bincount(stream.randint(0, 10, n), minlength=10)
    assert len(counts) == 10 and ((counts - n / 10) ** 2 / (n / 10)).sum() < 40
    assert abs(stream.bernoulli(0.2, n).mean() - 0.2) < 5 * math.sqrt(0.16 / n)
    assert not stream.bernoulli(0, 100).any() and stream.bernoulli(1, 100).all()
    assert sorted(stream.permutation(1000).tolist()) == list(range(1000))
    firsts = np.bincount([stream.permutation(4)[0] for _ in range(2000)])
    assert ((firsts - 500) ** 2 / 500).sum() < 25


ERRORS = [
    (("seed", 2**64), ValueError, "seed 18446744073709551616 is out of range; it must be in [-2**63, 2**64)"),
    (("uniform", 3, "int64"), NotImplementedError, "uniform: dtype int64 is not floating; draw float32"),
    (("normal", 3, "bool"), NotImplementedError, "dtype bool is not floating; draw float32 and convert"),
    (("uniform", (2, -1)), RuntimeError, "shape (2, -1) has a negative size; sizes must be 0 or more"),
    (("uniform", 3, "float32", 2, 1), RuntimeError, "low is 2 and high is 1; low must not exceed high"),
    (("uniform", 3, "float16", 0, 7e4), RuntimeError, "does not fit in float16, which ends at 65504"),
    (("uniform", 3, "float32", 0, math.nan), RuntimeError, "[0, nan) does not fit in float32"),
    (("normal", 3, "float32", 0, -1), RuntimeError, "normal: std is -1; it must be 0 or more"),
    (("randint", 3, 3, 2), RuntimeError, "randint: low is 3 and high is 3; low must be less than high"),
    (("randint", 0, 257, 2, "uint8"), RuntimeError, "randint: uint8 holds 0 to 255 exactly, not [0, 257)"),
    (("randint", 0, 2050, 2, "float16"), RuntimeError, "float16 holds -2048 to 2048 exactly, not [0, 2050)"),
    (("randint", 0, 2**63 + 1, 2), RuntimeError, "holds -9223372036854775808 to 9223372036854775807 exactly"),
    (("randint", 0, 2, 2, "complex64"), RuntimeError, "randint: dtype complex64 holds no integers"),
    (("bernoulli", 1.5, 2), RuntimeError, "bernoulli: p must be in [0, 1], and 1.5 is not"),
    (("bernoulli", np.array([0.5, -0.1]), 2), RuntimeError, "p must be in [0, 1], and [ 0.5 -0.1] is not"),
    (("bernoulli", math.nan, 2), RuntimeError, "bernoulli: p must be in [0, 1], and nan is not"),
    (("permutation", -1), RuntimeError, "shape (-1,) has a negative size"),
    (("set_state", [1, 2]), TypeError, "a state is an array of uint8; pass what get_state() returned"),
    (("set_state", np.zeros(9, np.uint8)), RuntimeError, "state has shape ("),
]


@STREAMS
@pytest.mark.parametrize("row, error, text", ERRORS, ids=lambda value: str(value)[:40])
def test_errors(kind, row, error, text):
    stream = kind(0)
    before = stream.get_state()
    with pytest.raises(error) as caught:
        call(stream, *row)
    assert text in str(caught.value)
    assert (stream.get_state() == before).all()


def test_bytes_that_are_no_state():
    with pytest.raises(RuntimeError, match="no mt19937 state; pass what get_state"):
        MT19937Stream(0).set_state(np.zeros(5056, np.uint8))
