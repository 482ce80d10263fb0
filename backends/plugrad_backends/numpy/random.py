"""Streams of random numbers in NumPy: PyTorch's own on the CPU, and one that every device can repeat.

`MT19937Stream` gives the numbers of PyTorch's CPU generator: the same seed, the same values, whatever order
the calls come in. `PhiloxStream` is counter based: element i of a call depends on the seed, the call's place
and i alone, so that a device computes its elements in parallel and still gets the same bits as the CPU.

Both have the same methods. Results are new, contiguous arrays; an empty one consumes nothing. The scaling
`x * scale + shift` is a fused multiply-add in both, rounded once, because that is what PyTorch's compiled
kernels do on every processor that has the instruction.
"""

from __future__ import annotations

import math
import threading
from operator import index
from typing import Any

import numpy as np

__all__ = ["MT19937Stream", "PhiloxStream"]

#: Held while a stream moves on, where NumPy does not see to it: threads may draw from one stream.
_lock = threading.RLock()

_REAL_PART = {np.dtype(np.complex64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.float64)}
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16))


class _Stream:
    """What the streams share: checks, scaling, casts. A subclass draws `_units`, `_normals`, `_integers`."""

    name: str
    initial_seed: int

    def __init__(self, seed: int) -> None:
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start again from `seed`, an integer in [-2**63, 2**64); a negative one means seed + 2**64."""
        raise NotImplementedError

    def uniform(self, shape: Any, dtype: Any = np.float32, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Numbers in [low, high), like `rand` and `uniform_`; a complex dtype draws real, imaginary in turn.

        >>> MT19937Stream(0).uniform((3,)).round(4)
        array([0.4963, 0.7682, 0.0885], dtype=float32)
        """
        shape, dtype = _shape(shape), np.dtype(dtype)
        if dtype in _REAL_PART:
            return self.uniform((*shape, 2), _REAL_PART[dtype], low, high).view(dtype)[..., 0]
        _check_uniform(dtype, low, high)
        units = self._units(math.prod(shape), _working(dtype))
        start, stop = units.dtype.type(low), units.dtype.type(high)
        values = _cast(_fma(units, float(stop - start), float(start)), dtype)
        if values is not units:  # rounding can reach the excluded end; PyTorch then gives the other end
            values[values == dtype.type(stop)] = dtype.type(start)
        return values.reshape(shape)

    def normal(self, shape: Any, dtype: Any = np.float32, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
        """Normal numbers, like `randn` and `normal_`; each part of a complex one has deviation std / √2."""
        shape, dtype = _shape(shape), np.dtype(dtype)
        if dtype in _REAL_PART:
            return self.normal((*shape, 2), _REAL_PART[dtype], mean, std / math.sqrt(2)).view(dtype)[..., 0]
        _check_float("normal", dtype)
        if not std >= 0:
            raise RuntimeError(f"normal: std is {std}; it must be 0 or more")
        values = self._normals(math.prod(shape), dtype)
        real = values.dtype.type
        return _cast(_fma(values, float(real(std)), float(real(mean))), dtype).reshape(shape)

    def randint(
        self, low: int, high: int, shape: Any, dtype: Any = np.int64, wide: bool | None = None
    ) -> np.ndarray:
        """Integers in [low, high), in any integer, bool or floating dtype that holds the whole range exactly.

        A draw is reduced modulo the range, so the small values are likelier by at most range / 2**64 (for
        `MT19937Stream` and a range below 2**28: range / 2**32; `wide` says whether its draws have 64 bits).
        """
        shape, dtype, low, high = _shape(shape), np.dtype(dtype), index(low), index(high)
        _check_range(dtype, low, high)
        span = high - low
        draws = self._integers(math.prod(shape), span >= 2**28 if wide is None else wide)
        if span < 2**64:
            draws = draws % np.uint64(span)
        return (draws + np.uint64(low % 2**64)).view(np.int64).astype(dtype).reshape(shape)

    def bernoulli(self, p: Any, shape: Any) -> np.ndarray:
        """Bools that are true with probability p: a number, or an array that broadcasts to `shape`.

        The rule is `unit < p`, the unit in [0, 1) being of float64 for a number and a float64 array, and of
        float32 for other arrays.
        """
        shape = _shape(shape)
        chance = np.asarray(p, None if isinstance(p, np.ndarray) else np.float64)
        if not np.all((chance >= 0) & (chance <= 1)):
            raise RuntimeError(f"bernoulli: p must be in [0, 1], and {p} is not")
        units = self._units(math.prod(shape), _working(chance.dtype)).reshape(shape)
        return np.less(units, np.broadcast_to(chance, shape), out=...)

    def _units(self, n: int, real: np.dtype) -> np.ndarray:
        raise NotImplementedError

    def _normals(self, n: int, dtype: np.dtype) -> np.ndarray:
        raise NotImplementedError

    def _integers(self, n: int, wide: bool) -> np.ndarray:
        raise NotImplementedError


# The bytes of PyTorch's CPU generator state, so that states travel both ways. `left` counts the draws up to
# the next refill, that one included; `spare` is the second normal of a pair.
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "words", "spare", "has_spare"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", 624), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class MT19937Stream(_Stream):
    """The numbers of PyTorch 2.13's CPU generator after `manual_seed(seed)`.

    Uniforms, integers, bernoulli draws and permutations are equal bit for bit; normals to 4 units in the last
    place in float32 and 2 in float64, since logarithms and cosines of two libraries round differently.

    - A unit of float64 is the low 53 bits of two draws, high word first; of other floats the low 24 of one.
    - `randint` takes 64-bit draws when the range is 2**28 or more.
    - 16 or more normals come in blocks of 8 + 8 units: radii from the first eight, angles from the others;
      a last, incomplete block is replaced by one of 16 fresh units that ends at the end.
    - Fewer than 16 come one at a time in float64, and the second of a pair waits for the next such call.

    >>> MT19937Stream(0).normal((2, 2)).round(4)
    array([[ 1.541 , -0.2934],
           [-2.1788,  0.5684]], dtype=float32)
    >>> MT19937Stream(0).permutation(5)
    array([4, 0, 1, 3, 2])
    """

    name = "mt19937"

    _many = (2**32 - 1) // 20  # from this length on a permutation takes 64-bit draws

    def seed(self, seed: int) -> None:
        """Start again from `seed`, an integer in [-2**63, 2**64), of which the low 32 bits count."""
        self.initial_seed = _seed(seed)
        self._generator: Any = np.random.MT19937(0)
        self._generator.state = np.random.RandomState(self.initial_seed % 2**32).get_state(legacy=False)
        self._spare: float | None = None

    def get_state(self) -> np.ndarray:
        """The state as the 5056 uint8 that `torch.get_rng_state()` would give."""
        twister = self._generator.state["state"]
        state = np.zeros(1, _STATE)
        state["seed"], state["seeded"] = self.initial_seed, 1
        state["left"], state["next"] = 625 - twister["pos"], twister["pos"] % 624
        state["words"] = twister["key"]
        state["has_spare"], state["spare"] = self._spare is not None, self._spare or 0.0
        return state.view(np.uint8)

    def set_state(self, state: np.ndarray) -> None:
        """Go back to a state that `get_state` or `torch.get_rng_state().numpy()` gave."""
        record = _checked_state(state, _STATE.itemsize, self.name).view(_STATE)[0]
        if not (record["seeded"] and 1 <= record["left"] <= 624):
            raise RuntimeError("set_state: these bytes are no mt19937 state; pass what get_state() returned")
        self.initial_seed = int(record["seed"])
        twister = {"key": record["words"].astype(np.uint32), "pos": 625 - int(record["left"])}
        self._generator.state = {"bit_generator": "MT19937", "state": twister}
        self._spare = float(record["spare"]) if record["has_spare"] else None

    def permutation(self, n: int) -> np.ndarray:
        """The integers 0 … n - 1 in random order, int64, like `randperm`."""
        n = _shape(n)[0]
        if n >= self._many:
            return self._long_permutation(n)
        order = list(range(n))
        steps = np.arange(max(n - 1, 0), dtype=np.uint64)
        partners = self._generator.random_raw(len(steps)) % (np.uint64(n) - steps) + steps
        for i, j in enumerate(partners.tolist()):
            order[i], order[j] = order[j], order[i]
        return np.array(order, np.int64)

    def _long_permutation(self, n: int, chunk: int = 2**20) -> np.ndarray:
        """The "inside-out" shuffle, in chunks and in place: here n Python integers would fill the memory."""
        order = np.empty(n, np.int64)
        cells = order.data
        for start in range(0, n, chunk):
            counts = np.arange(start + 1, min(start + chunk, n) + 1, dtype=np.uint64)
            for i, j in enumerate((self._words64(len(counts)) % counts).tolist(), start):
                cells[i] = cells[j]
                cells[j] = i
        return order

    def _words64(self, n: int) -> np.ndarray:
        draws = self._generator.random_raw(2 * n)
        return draws[0::2] << np.uint64(32) | draws[1::2]

    def _integers(self, n: int, wide: bool) -> np.ndarray:
        return self._words64(n) if wide else self._generator.random_raw(n)

    def _units(self, n: int, real: np.dtype) -> np.ndarray:
        if real == np.float64:
            return (self._words64(n) & np.uint64(2**53 - 1)) * 2.0**-53
        low_bits = self._generator.random_raw(n) & np.uint64(2**24 - 1)
        return low_bits.astype(np.float32) * np.float32(2.0**-24)

    def _normals(self, n: int, dtype: np.dtype) -> np.ndarray:
        if n < 16:
            return np.array([self._next_normal() for _ in range(n)], np.float64)
        whole, rest = n - n % 16, n % 16
        # The units of the incomplete block are drawn, and lost, except in float16.
        units = self._units(whole if dtype == np.float16 else n, _working(dtype))
        values = np.empty(n, units.dtype)
        values[:whole] = self._blocks(units[:whole])
        if rest:
            values[-16:] = self._blocks(self._units(16, units.dtype))
        return values

    @staticmethod
    def _blocks(units: np.ndarray) -> np.ndarray:
        halves = units.reshape(-1, 2, 8)
        return np.stack(_box_muller(halves[:, 0], halves[:, 1]), axis=1).ravel()

    def _next_normal(self) -> float:
        """One normal in float64, by the scalar functions of the C library, which PyTorch calls here too."""
        with _lock:
            if self._spare is not None:
                value, self._spare = self._spare, None
                return value
            angle, chance = self._units(2, np.dtype(np.float64)).tolist()
            radius = math.sqrt(-2 * math.log1p(-chance))
            self._spare = radius * math.sin(2 * math.pi * angle)
            return radius * math.cos(2 * math.pi * angle)


class PhiloxStream(_Stream):
    """Counter-based numbers, Philox4x64-10, that are the same on every device.

    The map, exactly. The key is (seed mod 2**64, 0). A block is Philox of a 256-bit counter and has four
    64-bit words; a stream has an `offset`, 0 at first. A call for m words reads word i from block
    offset + 1 + i // 4 at place i % 4, and then adds ceil(m / 4) to the offset, so that calls never share a
    block. These are the words of `numpy.random.Philox(key=seed, counter=offset)`. Element i of a result, in C
    order, is made of word i, called w:

    - unit: (w >> 11) / 2**53 in float64; (w >> 40) / 2**24 in float32, which serves float16 too.
    - uniform: fma(unit, high - low, low) in the unit's precision, cast to the dtype; a result that rounds up
      to high becomes low. For low = 0, high = 1 in float32 and float64 it is the unit itself.
    - normal: of the units (a, b) of the elements (2j, 2j + 1), Box-Muller: radius √(-2 log(1 - a)), times
      cos 2πb for the one and sin 2πb for the other; then fma(z, std, mean), and the cast. An odd last element
      draws both and keeps the cosine. Every backend's z is within radius / 2**20 of the exact one in float32,
      radius / 2**49 in float64. (NumPy calculates in float64 and rounds.)
    - randint: low + w mod (high - low). A bias of at most range / 2**64 is accepted.
    - bernoulli: unit < p. For a number p this is (w >> 11) < ceil(p * 2**53), in integers.
    - permutation: the order of the n words, ascending; of equal words the earlier comes first.

    >>> stream = PhiloxStream(7)
    >>> first = stream.uniform((2,), np.float64)
    >>> words = np.random.Philox(key=7).random_raw(2)
    >>> bool((first == (words >> np.uint64(11)) / 2**53).all()), stream.offset
    (True, 1)
    """

    name = "philox"

    def seed(self, seed: int) -> None:
        """Start again from `seed`, an integer in [-2**63, 2**64), with offset 0."""
        self.initial_seed, self.offset = _seed(seed), 0

    def get_state(self) -> np.ndarray:
        """The state as 16 uint8: seed and offset, little-endian."""
        return np.array([self.initial_seed, self.offset], "<u8").view(np.uint8)

    def set_state(self, state: np.ndarray) -> None:
        """Go back to a state that `get_state` gave."""
        self.initial_seed, self.offset = _checked_state(state, 16, self.name).view("<u8").tolist()

    def permutation(self, n: int) -> np.ndarray:
        """The integers 0 … n - 1 in random order, int64."""
        return np.argsort(self._words(_shape(n)[0]), kind="stable").astype(np.int64)

    def _words(self, n: int) -> np.ndarray:
        with _lock:
            offset, self.offset = self.offset, self.offset - (-n // 4)
        return np.random.Philox(key=self.initial_seed, counter=offset).random_raw(n)

    def _integers(self, n: int, wide: bool) -> np.ndarray:
        return self._words(n)

    def _units(self, n: int, real: np.dtype) -> np.ndarray:
        if real == np.float64:
            return (self._words(n) >> np.uint64(11)) * 2.0**-53
        return (self._words(n) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)

    def _normals(self, n: int, dtype: np.dtype) -> np.ndarray:
        real = _working(dtype)
        pairs = self._units(n + n % 2, real).astype(np.float64).reshape(-1, 2)
        return np.stack(_box_muller(pairs[:, 0], pairs[:, 1]), axis=1).ravel()[:n].astype(real)


def _box_muller(chance: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of normals from two of units: 1 - unit is never 0, so the logarithm is finite."""
    radius = np.sqrt(-2 * np.log(1 - chance))
    angle = 2 * math.pi * turn
    return radius * np.cos(angle), radius * np.sin(angle)


def _working(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def _cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if values.dtype == dtype:
        return values
    if dtype == np.float16:  # from float64 it goes by way of float32, as in PyTorch
        values = values.astype(np.float32, copy=False)
    with np.errstate(over="ignore"):  # what does not fit is infinite
        return values.astype(dtype)


# --- fused multiply-add


def _fma(x: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """x * scale + shift, rounded once: x of float32 or float64, the others numbers that its dtype holds."""
    if scale == 1 and shift == 0:
        return x
    if shift == 0 or not (abs(scale) < 1e290 and abs(shift) < 1e290):  # else the error terms overflow
        return x * scale + shift
    if x.dtype == np.float32:  # a product of float32 is exact in float64
        return _add_to_odd(x.astype(np.float64) * scale, shift).astype(np.float32)
    # Split everything into a float64 and its rounding error, and add the small parts to odd (Boldo and
    # Melquiond, "Emulation of FMA and correctly rounded sums", 2008): the last sum then rounds correctly.
    product, product_error = _exact_product(x, scale)
    lower, lowest = _exact_sum(product_error, shift)
    high, low = _exact_sum(product, lower)
    return high + _add_to_odd(low, lowest)


def _exact_sum(a: Any, b: Any) -> tuple[Any, Any]:
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _exact_product(a: Any, b: Any) -> tuple[Any, Any]:
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    product = a * b
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _split(a: Any) -> tuple[Any, Any]:
    """Two halves of 26 bits each, so that products of halves are exact."""
    wide = a * (2.0**27 + 1)
    high = wide - (wide - a)
    return high, a - high


def _add_to_odd(a: np.ndarray, b: Any) -> np.ndarray:
    """The float64 sum, of whose two neighbours the odd one is taken if it is inexact: safe to round again."""
    total, error = _exact_sum(a, b)
    bits = total.view(np.int64)
    outward = np.where((error > 0) == (total > 0), 1, -1)
    bits += np.where((error != 0) & (bits & 1 == 0), outward, 0)
    return total


# --- arguments


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = (int(shape),) if hasattr(shape, "__index__") else tuple(int(size) for size in shape)
    if min(sizes, default=0) < 0:
        raise RuntimeError(f"shape {sizes} has a negative size; sizes must be 0 or more")
    return sizes


def _seed(seed: Any) -> int:
    value = int(seed)
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"seed {value} is out of range; it must be in [-2**63, 2**64)")
    return value % 2**64


def _checked_state(state: Any, size: int, name: str) -> np.ndarray:
    if getattr(state, "dtype", None) != np.uint8:
        raise TypeError("set_state: a state is an array of uint8; pass what get_state() returned")
    if state.shape != (size,):
        raise RuntimeError(f"set_state: a {name} state has shape ({size},), this one {state.shape}")
    return np.ascontiguousarray(state)


def _check_float(call: str, dtype: np.dtype) -> None:
    if dtype not in _FLOATS:
        raise NotImplementedError(f"{call}: dtype {dtype} is not floating; draw float32 and convert")


def _check_uniform(dtype: np.dtype, low: float, high: float) -> None:
    _check_float("uniform", dtype)
    limit = float(np.finfo(dtype).max)
    if not (abs(low) <= limit and abs(high) <= limit and high - low <= limit):
        raise RuntimeError(f"uniform: [{low}, {high}) does not fit in {dtype}, which ends at {limit:g}")
    if low > high:
        raise RuntimeError(f"uniform: low is {low} and high is {high}; low must not exceed high")


def _check_range(dtype: np.dtype, low: int, high: int) -> None:
    if low >= high:
        raise RuntimeError(f"randint: low is {low} and high is {high}; low must be less than high")
    if dtype.kind in "iu":
        smallest, largest = max(np.iinfo(dtype).min, -(2**63)), min(np.iinfo(dtype).max, 2**63 - 1)
    elif dtype.kind in "bf":
        largest = 1 if dtype.kind == "b" else 2 ** (np.finfo(dtype).nmant + 1)
        smallest = 0 if dtype.kind == "b" else -largest
    else:
        raise RuntimeError(f"randint: dtype {dtype} holds no integers; draw int64 and convert")
    if low < smallest or high - 1 > largest:
        raise RuntimeError(f"randint: {dtype} holds {smallest} to {largest} exactly, not [{low}, {high})")
