"""Random numbers: generators, and tensors drawn from them.

On the CPU the default generator gives PyTorch's numbers: MT19937, read by PyTorch's rules. Beside it there is
Philox4x64-10, whose bits and uniforms come out equal on every device. `Generator.algorithm` says which it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from operator import index
from typing import Any

from . import creation, dtypes, levels
from .creation import place
from .device import cpu
from .device import device as Device
from .errors import DeviceError
from .graph import Variable
from .graph import made as wrap

ALGORITHMS = ("mt19937", "philox")
_FIRST_SEED = 67280421310721  # PyTorch's
_lock = threading.RLock()


def _resolved(device: Any) -> Device:
    """A place as its tensors name it; the CPU is no backend's question, and no reason to load it."""
    where = Device(creation.chosen_device() if device is None else device)
    return cpu if where.type == "cpu" and not where.index else where.resolved()


class Generator:
    """A stream of random numbers on a device, e.g. `Generator().manual_seed(0)`.

    `algorithm` is "mt19937" (PyTorch's own, the default on the CPU) or "philox" (the default elsewhere).

    >>> Generator().algorithm, Generator(algorithm="philox").algorithm
    ('mt19937', 'philox')
    """

    def __init__(self, device: Any = "cpu", algorithm: str | None = None) -> None:
        try:
            self.device = _resolved(device)
        except DeviceError:  # which the first draw tells
            self.device = Device(device)
        self.algorithm = algorithm or ("mt19937" if self.device.type == "cpu" else "philox")
        if self.algorithm not in ALGORITHMS:
            raise ValueError(
                f"Generator: algorithm {algorithm!r} is unknown: choose one of {', '.join(ALGORITHMS)}"
            )
        self._seed = _FIRST_SEED
        self._stream: Any = None

    @property
    def stream(self) -> Any:
        """The backend's stream, made at the first draw."""
        if self._stream is None:
            with _lock:  # threads that draw at the same time draw from one stream
                if self._stream is None:
                    backend = place(self.device)
                    stream = backend.stream(self.algorithm, self._seed)
                    self._stream = stream or HostStream(backend, self.algorithm, self._seed)
        return self._stream

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`, an integer in [-2**63, 2**64); returns the generator."""
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: seed {seed} is out of range: it must be in [-2**63, 2**64)")
        self._seed = seed
        if self._stream is not None:
            self._stream.seed(self._seed)
        return self

    def seed(self) -> int:
        """Start again from a seed that nobody can guess, which is returned."""
        self.manual_seed(int.from_bytes(os.urandom(8)) >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed that this started from."""
        return self._seed % 2**64

    def get_state(self) -> Any:
        """The state as a tensor of bytes on the CPU."""
        return creation.tensor(self.stream.get_state(), device=cpu)

    def set_state(self, new_state: Any) -> None:
        """Go back to a state that `get_state` gave."""
        if not isinstance(new_state, Variable):
            raise TypeError(f"set_state: expected a torch.ByteTensor, but got {type(new_state).__name__}")
        self.stream.set_state(new_state._host())
        self._seed = self.stream.initial_seed

    def __repr__(self) -> str:
        return f"<Generator {self.algorithm} on {self.device}, seed {self._seed}>"


_default: dict[Device, Generator] = {}
_seed_of_all: int | None = None


def default(device: Any) -> Generator:
    """The default generator of a device."""
    where = _resolved(device)  # of which there is one generator, by whatever name it is called
    if where not in _default:
        generator = Generator(where)
        if _seed_of_all is not None:
            generator.manual_seed(_seed_of_all)
        _default.setdefault(where, generator)  # another thread may have been first
    return _default[where]


default_generator = default("cpu")


def manual_seed(seed: int) -> Generator:
    """Seed the default generators of all devices; returns that of the CPU."""
    global _seed_of_all
    default_generator.manual_seed(seed)  # it also checks the seed
    _seed_of_all = int(seed)
    for generator in _default.values():
        generator.manual_seed(seed)
    return default_generator


def seed() -> int:
    """Seed the default generators with a number that nobody can guess, which is returned."""
    value = default_generator.seed()
    manual_seed(value)
    return value


def initial_seed() -> int:
    """The seed of the CPU's default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The state of the CPU's default generator, a tensor of bytes."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Go back to a state of the CPU's default generator."""
    default_generator.set_state(new_state)


def get_all_states() -> Any:
    """The states of the default generators of all devices, for `set_all_states`."""
    return _seed_of_all, {where: generator.get_state() for where, generator in _default.items()}


def set_all_states(states: Any) -> None:
    """Go back to what `get_all_states` gave; a generator that was not there then starts from its seed."""
    global _seed_of_all
    _seed_of_all, known = states
    for where, generator in _default.items():
        if where in known:
            generator.set_state(known[where])
        else:
            generator.manual_seed(_FIRST_SEED if _seed_of_all is None else _seed_of_all)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """A context after which the CPU's default generator, and those of `devices`, stand where they stood before."""
    generators = [default_generator, *map(default, devices or ())] if enabled else []
    states = [g.get_state() for g in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


class HostStream:
    """A stream of NumPy's backend for a device that has none: what it draws is copied there."""

    def __init__(self, backend: Any, algorithm: str, seed: int) -> None:
        self._backend, self._stream = backend, place("cpu").stream(algorithm, seed)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return partial(self._drawn, found) if name in _DRAWS else found

    def _drawn(self, draw: Any, *args: Any) -> Any:
        backend = self._backend
        args = tuple(backend.to_numpy(a) if type(a) is backend.array_type else a for a in args)
        return backend.from_numpy(draw(*args))


_DRAWS = frozenset(("uniform", "normal", "randint", "bernoulli", "permutation"))


def stream_for(generator: Generator | None, device: Any, asked: str) -> Any:
    """The stream to draw from, on the device where the result is to be."""
    stream = _stream_for(generator, device, asked)
    for level in levels.thread.stack:
        stream = level.stream(stream, asked)
    return stream


def _stream_for(generator: Generator | None, device: Any, asked: str) -> Any:
    if generator is None:
        return default(device).stream
    if not isinstance(generator, Generator):
        raise TypeError(f"{asked}: expected a torch.Generator, found {type(generator).__name__}")
    where, given = _resolved(device), generator.device
    if given != where:
        raise RuntimeError(
            f"{asked}: expected a {str(where)!r} device type for generator but found {str(given)!r}"
        )
    return generator.stream


def _float(dtype: Any, asked: str) -> Any:
    dt = dtypes.asked(dtype) or dtypes.get_default_dtype()
    if dt.category < dtypes.FLOAT or dt.numpy is None:
        raise NotImplementedError(
            f"{asked}: {dt} is not a dtype that it draws: ask for a floating-point dtype"
        )
    return dt.numpy


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Uniform numbers from [0, 1).

    >>> import plugrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    shape = creation._sizes(sizes, "rand", size)
    return creation.finish(
        stream_for(generator, device, "rand").uniform(shape, _float(dtype, "rand")), requires_grad
    )


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Normal numbers of mean 0 and variance 1."""
    shape = creation._sizes(sizes, "randn", size)
    return creation.finish(
        stream_for(generator, device, "randn").normal(shape, _float(dtype, "randn")), requires_grad
    )


def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Integers from `low` (0 if left out) up to, but not including, `high`: `randint(10, (2,))`, `randint(3, 10, (2,))`."""
    if isinstance(high, (tuple, list)):
        high, size = None, high
    low, high = (0, low) if high is None else (0 if low is None else low, high)
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint(): argument 'size' must be tuple of ints, not {type(size).__name__}")
    low, high = index(low), index(high)
    if low >= high:
        raise RuntimeError(
            f"randint: random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    shape = creation._sizes((size,), "randint")
    dt = dtypes.asked(dtype) or dtypes.int64
    values = stream_for(generator, device, "randint").randint(low, high, shape, dt.numpy)
    return creation.finish(values, requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """The integers below `n` in random order."""
    n, dt = index(n), dtypes.asked(dtype) or dtypes.int64
    if n < 0:
        raise RuntimeError(
            f"randperm: Trying to create tensor with negative dimension {n}: n must be non-negative"
        )
    if dt.category not in (dtypes.INTEGER, dtypes.FLOAT):
        raise NotImplementedError(
            f"randperm: not implemented for {dt}: ask for an integer or floating-point dtype"
        )
    dtypes.cast_number(n - 1 if n else 0, dt, "randperm")
    values = wrap(stream_for(generator, device, "randperm").permutation(n))
    return creation.finish(values.to(dt)._raw, requires_grad)


def rand_like(
    input: Any,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Uniform numbers from [0, 1) with the shape, dtype and device of `input`."""
    shape, dt, where = creation._like(input, dtype, device)
    return rand(shape, generator=generator, dtype=dt, device=where, requires_grad=requires_grad)


def randn_like(
    input: Any,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Normal numbers with the shape, dtype and device of `input`."""
    shape, dt, where = creation._like(input, dtype, device)
    return randn(shape, generator=generator, dtype=dt, device=where, requires_grad=requires_grad)


def randint_like(
    input: Any,
    low: int,
    high: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Integers with the shape, dtype and device of `input`."""
    shape, dt, where = creation._like(input, dtype, device)
    first, last = (0, low) if high is None else (low, high)
    return randint(first, last, tuple(shape), dtype=dt, device=where, requires_grad=requires_grad)


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Normal numbers of the given means and standard deviations, numbers (then with a `size`) or tensors."""
    if size is not None:
        shape = creation._sizes((size,), "normal")
        values = stream_for(generator, device, "normal").normal(shape, _float(dtype, "normal"), mean, std)
        return creation.finish(values, requires_grad)
    if isinstance(std, Variable) and (std < 0).any():
        raise RuntimeError("normal expects all elements of std >= 0.0")
    like = mean + creation.zeros_like(std) if isinstance(std, Variable) else mean
    if not isinstance(like, Variable):
        raise TypeError("normal(): numbers for mean and std need a size")
    drawn = randn(tuple(like.shape), generator=generator, dtype=like.dtype, device=like.device)
    return (drawn * std + mean).detach()


def check_probabilities(p: Any, asked: str) -> None:
    """Raise unless `p` is a tensor of a dtype that holds probabilities."""
    if not p.is_floating_point():
        raise NotImplementedError(
            f"{asked}: expected a tensor of floating-point probabilities, found {p.dtype}"
        )


def chances(p: Any, stream: Any, asked: str) -> Any:
    """The probabilities in a tensor as `stream` takes them."""
    if isinstance(stream, levels.Stream):
        return p
    if getattr(p._raw, "batched", False):
        raise RuntimeError(
            f"vmap: {asked}: randomness='same' is not possible with probabilities that each element of the batch has for "
            "itself: use randomness='different'"
        )
    return p._host()


def kept(input: Any, p: float) -> Any:
    """A mask in the shape of `input`: each element is true with probability `p`."""
    return wrap(stream_for(None, input.device, "bernoulli").bernoulli(p, tuple(input.shape)))


def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None) -> Any:
    """Ones with the probabilities `input`, or with the probability `p` in the shape of `input`, else zeros."""
    if p is not None:
        drawn = stream_for(generator, input.device, "bernoulli").bernoulli(p, tuple(input.shape))
        return wrap(drawn).to(input.dtype)
    check_probabilities(input, "bernoulli")
    stream = stream_for(generator, input.device, "bernoulli")
    return wrap(stream.bernoulli(chances(input, stream, "bernoulli"), tuple(input.shape))).to(input.dtype)
