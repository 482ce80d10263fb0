"""Backends with one fault each, for the tests of the conformance kit: each says which check must find it."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from plugrad import dtypes
from plugrad.backend import for_device
from plugrad.plugins import BackendSpec, hookimpl
from tests.fake_backend import Array, FakeBackend, MinimalBackend, _wrapped, unwrap, view
from tests.fusing_backend import FusingBackend

#: The faulty backends: from the device type to the class, its sound base, and the ids of the checks that find the fault.
FAULTS: dict[str, tuple[type[FakeBackend], str, tuple[str, ...]]] = {}


def found_by(*checks: str) -> Callable[[type[FakeBackend]], type[FakeBackend]]:
    """Enter a backend whose fault these checks must find, with a device type and an array type of its own."""

    def enter(cls: type[FakeBackend]) -> type[FakeBackend]:
        sound = cls.__mro__[1]
        name = "faulty" + re.sub("[A-Z]", lambda m: f"_{m[0].lower()}", cls.__name__)
        cls.device_type = name
        cls.array_type = type(f"{cls.__name__}Array", (sound.array_type,), {"__module__": __name__})
        FAULTS[name] = cls, sound.device_type, checks
        return cls

    return enter


def sound(backend: FakeBackend, name: str) -> Callable[..., Any]:
    """The kernel of that name without its fault."""
    return _wrapped(getattr(for_device("cpu"), name), backend.array_type)


# --- what it declares ---------------------------------------------------------------------------------------


@found_by("declaration:found")
class LacksAMember(FakeBackend):
    take = MinimalBackend.__mro__[2].take  # that of Backend, which does nothing


@found_by("declaration:found")
class CannotBeMade(FakeBackend):
    def __init__(self, index: int | None = None) -> None:
        raise OSError("libacme.so.3: cannot open shared object file")


@found_by("declaration:array-type")
class ArraysOfAnotherType(FakeBackend):
    def from_numpy(self, array: np.ndarray) -> Array:
        return type("Hidden", (self.array_type,), {})(array.copy())


@found_by("declaration:inplace")
class SetitemReturnsNothing(FakeBackend):
    def setitem(self, raw: Array, key: Any, value: Any) -> Any:
        super().setitem(raw, key, value)


@found_by("declaration:inplace")
class SaysThatItWritesInPlace(MinimalBackend):
    inplace = True


@found_by("declaration:inplace")
class SaysThatItNeverWrites(FakeBackend):
    inplace = False


@found_by("declaration:dtypes")
class SaysThatItHasComplex(MinimalBackend):
    dtypes = FakeBackend.dtypes

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return super().empty(shape, dtype.to_real() if dtype.is_complex else dtype)


@found_by("declaration:other-dtypes")
class ReplacesFloat64(MinimalBackend):
    dtypes = MinimalBackend.dtypes - {dtypes.float64}

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return super().empty(shape, dtypes.float32 if dtype is dtypes.float64 else dtype)


@found_by("declaration:capabilities")
class CapabilitiesContradictMembers(FakeBackend):
    def capabilities(self) -> dict[str, bool]:
        return super().capabilities() | {"float16": False}


# --- memory and layout --------------------------------------------------------------------------------------


@found_by("layout:round-trip-float32")
class LosesNaNPayloads(FakeBackend):
    def from_numpy(self, array: np.ndarray) -> Array:
        values = array.copy()
        if values.dtype.kind == "f":
            values[np.isnan(values)] = np.nan
        return self.array_type(values)


@found_by("layout:round-trip-int64", "layout:round-trip-uint64")
class IntegersThroughFloats(FakeBackend):
    def from_numpy(self, array: np.ndarray) -> Array:
        through = array.astype(np.float64) if array.dtype.kind in "iu" else array
        return self.array_type(through.astype(array.dtype))


@found_by("layout:round-trip-float32")
class TakesFortranOrderForC(FakeBackend):
    def from_numpy(self, array: np.ndarray) -> Array:
        return self.array_type(array.ravel(order="K").reshape(array.shape))


@found_by("layout:round-trip-bool")
class ZeroDimensionsBecomeOne(FakeBackend):
    def from_numpy(self, array: np.ndarray) -> Array:
        return self.array_type(np.atleast_1d(array).copy())


@found_by("layout:no-sharing-with-numpy")
class SharesMemoryWithNumPy(MinimalBackend):
    def from_numpy(self, array: np.ndarray) -> Array:
        return self.array_type(array)


@found_by("layout:strides")
class StridesInBytes(FakeBackend):
    def strides(self, raw: Array) -> tuple[int, ...]:
        return raw.values.strides


@found_by("layout:getitem")
class ClipsIndicesOutOfRange(FakeBackend):
    def getitem(self, x: Array, key: Any) -> Array:
        fitting = tuple(
            min(k, x.shape[0] - 1) if i == 0 and isinstance(k, int) else k for i, k in enumerate(key)
        )
        return sound(self, "getitem")(x, fitting)


@found_by("layout:views")
class ReadsCopies(FakeBackend):
    def getitem(self, x: Array, key: Any) -> Array:
        return self.array_type(x.values[key].copy())


@found_by("layout:setitem", "layout:overlapping-write")
class WritesIntoImmutableMemory(MinimalBackend):
    def setitem(self, raw: Array, key: Any, value: Any) -> Array:
        if raw.ndim == 1 and isinstance(key, tuple):
            raw.values[unwrap(key)] = unwrap(value)
        return super().setitem(raw, key, value)


@found_by("layout:owners")
class ViewsWithoutABase(FakeBackend):
    def getitem(self, x: Array, key: Any) -> Array:
        return self.array_type(x.values[key])


@found_by("layout:rebase")
class MovesNothing(FakeBackend):
    def rebase(self, raws: list[Array]) -> list[Array]:
        return raws


@found_by("layout:ownership")
class OwnsEverything(FakeBackend):
    def owned(self, raw: Array, holders: int) -> bool:
        return True


@found_by("layout:overlapping-write")
class WritesFromTheFront(FakeBackend):
    def setitem(self, raw: Array, key: Any, value: Any) -> Array:
        part = raw.values[unwrap(key)] if isinstance(key, tuple) else raw.values
        if (
            isinstance(value, Array)
            and part.ndim == 1
            and part.base is not None
            and part.shape == value.shape
        ):
            for i in range(len(part)):
                part[i] = value.values[i]
            return raw
        return super().setitem(raw, key, value)


@found_by("layout:copies")
class CopiesAreTheSame(FakeBackend):
    def copy(self, raw: Array) -> Array:
        return view(self.array_type, raw.values, raw)


@found_by("layout:can-view")
class ViewsEverything(FakeBackend):
    def can_view(self, raw: Array, shape: tuple[int, ...]) -> bool:
        return True


@found_by("layout:results-are-arrays")
class SumsToNumbers(FakeBackend):
    def sum(self, x: Array, axis: Any, keepdims: bool) -> Any:
        y = sound(self, "sum")(x, axis, keepdims)
        return y if y.ndim else y.values.item()


@found_by("layout:results-stay")
class OneBufferForResults(FakeBackend):
    buffers: dict[Any, np.ndarray] = {}  # noqa: RUF012

    def exp(self, x: Array) -> Array:
        y = self.buffers.setdefault((x.shape, x.dtype), np.empty(x.shape, x.dtype))
        return self.array_type(np.exp(x.values, out=y))


@found_by("layout:python-operators")
class NumbersPromote(FakeBackend):
    pass


NumbersPromote.array_type.__rmul__ = lambda a, b: type(a)(np.asarray(b, np.float64) * a.values)  # type: ignore[attr-defined]


@found_by("layout:writer")
class ForgetsToWriteResults(FakeBackend):
    def writer(self, kernel: Any) -> Any:
        return lambda *args: kernel(*args[:-1])


@found_by("layout:writer")
class WritesBeforeItHasReadAll(FakeBackend):
    def writer(self, kernel: Any) -> Any:
        def write(*args: Any) -> Array:
            args[-1].values[...] = 0  # as a kernel does that begins with `out = 0`
            return self.setitem(args[-1], ..., kernel(*args[:-1]))

        return write


# --- required kernels -----------------------------------------------------------------------------------------


@found_by("primitive:matmul")
class TransposesSquareMatrices(FakeBackend):
    def matmul(self, a: Array, b: Array) -> Array:
        square = b.ndim == 2 and b.shape[0] == b.shape[1]
        return self.array_type(a.values @ (b.values.T if square else b.values))


@found_by("primitive:maximum")
class MaximumDropsNaN(FakeBackend):
    def maximum(self, a: Any, b: Any) -> Array:
        return self.array_type(np.fmax(unwrap(a), unwrap(b)))


@found_by("primitive:index_add")
class LosesDuplicates(FakeBackend):
    def index_add(self, x: Array, source: Array, indices: Array, axis: int) -> Array:
        y = x.values.copy()
        y[(slice(None),) * axis + (indices.values,)] += source.values
        return self.array_type(y)


@found_by("primitive:index_add")
class AddsInPlace(FakeBackend):
    def index_add(self, x: Array, source: Array, indices: Array, axis: int) -> Array:
        np.add.at(x.values, (slice(None),) * axis + (indices.values,), source.values)
        return view(self.array_type, x.values, x)


@found_by("primitive:sum")
class SumsTheFirstAxisWhenItKeepsDims(FakeBackend):
    def sum(self, x: Array, axis: Any, keepdims: bool) -> Array:
        square = keepdims and len(axis) == 1 and len(set(x.shape)) == 1
        return sound(self, "sum")(x, (0,) if square else axis, keepdims)


@found_by("primitive:sum")
class NothingCannotBeSummed(FakeBackend):
    def sum(self, x: Array, axis: Any, keepdims: bool) -> Array:
        if not x.values.size:
            raise ValueError("zero-size array")
        return sound(self, "sum")(x, axis, keepdims)


@found_by("primitive:sum")
class SumsHalvesInHalf(FakeBackend):
    def sum(self, x: Array, axis: Any, keepdims: bool) -> Array:
        if x.dtype == np.float16 and axis == (0,) and x.ndim == 1:
            return self.array_type(np.cumsum(x.values, dtype=np.float16)[-1].reshape((1,) * keepdims))
        return sound(self, "sum")(x, axis, keepdims)


@found_by("primitive:exp")
class DoublesInSinglePrecision(FakeBackend):
    def exp(self, x: Array) -> Array:
        y = np.exp(x.values.astype(np.float32)) if x.dtype == np.float64 else np.exp(x.values)
        return self.array_type(y.astype(x.dtype))


@found_by("primitive:negative")
class NegatesInPlace(FakeBackend):
    def negative(self, x: Array) -> Array:
        return self.array_type(np.negative(x.values, out=x.values if x.ndim == 3 else None))


@found_by("primitive:negative")
class LosesNegativeZero(FakeBackend):
    def negative(self, x: Array) -> Array:
        return self.array_type(np.asarray(x.dtype.type(0) - x.values))


@found_by("primitive:floor")
class FloorOfIntegersIsItself(FakeBackend):
    def floor(self, x: Array) -> Array:
        return (
            view(self.array_type, x.values, x)
            if x.dtype.kind in "iu"
            else self.array_type(np.floor(x.values))
        )


@found_by("primitive:astype")
class RoundsToIntegers(FakeBackend):
    def astype(self, x: Array, dtype: Any) -> Array:
        rounded = np.rint(x.values) if x.dtype.kind == "f" and dtype.category == dtypes.INTEGER else x.values
        return self.array_type(rounded.astype(dtype.numpy))


@found_by("primitive:astype")
class SameDtypeIsNoCopy(FakeBackend):
    def astype(self, x: Array, dtype: Any) -> Array:
        return (
            view(self.array_type, x.values, x)
            if x.dtype == dtype.numpy
            else self.array_type(x.values.astype(dtype.numpy))
        )


@found_by("primitive:argmax")
class FindsTheLastMaximum(FakeBackend):
    def argmax(self, x: Array, axis: int | None, keepdims: bool) -> Array:
        if axis is None or (x.dtype.kind == "f" and np.isnan(x.values).any()):
            return sound(self, "argmax")(x, axis, keepdims)
        y = x.shape[axis] - 1 - np.flip(x.values, axis).argmax(axis, keepdims=keepdims)
        return self.array_type(y)


@found_by("primitive:take")
class IndicesOfSixteenBits(FakeBackend):
    def take(self, x: Array, indices: Array, axis: int) -> Array:
        return self.array_type(np.take(x.values, indices.values.astype(np.uint16), axis))


@found_by("primitive:where")
class NumbersMakeDoubles(FakeBackend):
    def where(self, condition: Array, a: Any, b: Any) -> Array:
        return self.array_type(np.where(unwrap(condition), np.asarray(unwrap(a)), np.asarray(unwrap(b))))


@found_by("primitive:where")
class ChoosesByMultiplying(FakeBackend):
    def where(self, condition: Array, a: Any, b: Any) -> Array:
        c, a, b = map(unwrap, (condition, a, b))
        kind = (a if isinstance(a, np.ndarray) else b).dtype
        return self.array_type(
            np.asarray(np.where(c, a, b) if kind.kind != "f" else (c * a + ~c * b).astype(kind))
        )


@found_by("primitive:equal")
class NaNEqualsNaN(FakeBackend):
    def equal(self, a: Any, b: Any) -> Array:
        a, b = unwrap(a), unwrap(b)
        return self.array_type((a == b) | ((a != a) & (b != b)))


@found_by("primitive:pow")
class NegativePowersOfIntegersAreZero(FakeBackend):
    def pow(self, a: Any, b: Any) -> Array:
        y = sound(self, "pow")(a, b)
        return self.array_type(np.where(np.less(unwrap(b), 0), 0, y.values)) if y.dtype.kind == "i" else y


@found_by("layout:shapes")
class ReshapesAsMemoryLies(FakeBackend):
    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        if x.ndim == 3 and not x.values.flags.c_contiguous:
            return self.array_type(x.values.ravel(order="K").reshape(shape))
        return sound(self, "reshape")(x, shape)


@found_by("primitive:sqrt")
class WrongBeyondSixteenBits(FakeBackend):
    def sqrt(self, x: Array) -> Array:
        y = np.asarray(np.sqrt(x.values))
        y.reshape(-1)[65536:] = 0
        return self.array_type(y)


@found_by("primitive:tanh")
class Aborts(FakeBackend):
    def tanh(self, x: Array) -> Array:
        if x.values.size == 0:
            os.abort()
        return self.array_type(np.tanh(x.values))


@found_by("primitive:sin")
class Segfaults(FakeBackend):
    def sin(self, x: Array) -> Array:
        if x.ndim == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        return self.array_type(np.sin(x.values))


@found_by("primitive:log")
class Exits(FakeBackend):
    def log(self, x: Array) -> Array:
        if x.ndim == 3:
            sys.exit("no licence")
        return self.array_type(np.log(x.values))


@found_by("primitive:cos")
class Hangs(FakeBackend):
    def cos(self, x: Array) -> Array:
        if x.values.size == 0:
            time.sleep(1000)
        return self.array_type(np.cos(x.values))


# --- optional kernels, models, capabilities ---------------------------------------------------------------------


@found_by("op:sigmoid:forward")
class SigmoidOverflows(FakeBackend):
    def sigmoid(self, x: Array) -> Array:
        return self.array_type(np.asarray(np.exp(x.values) / (1 + np.exp(x.values))))


@found_by("op:softmax:forward")
class SoftmaxOverTheLastAxis(FakeBackend):
    def softmax(self, x: Array, axis: Any) -> Array:
        return sound(self, "softmax")(x, (x.ndim - 1,))


@found_by("op:embed_add:forward", "op:take:first")
class DerivativesLoseDuplicates(FakeBackend):
    def embed_add(self, x: Array, key: Any, shape: Any) -> Array:
        y = np.zeros(shape, x.dtype)
        y[unwrap(key)] = x.values
        return self.array_type(y)


@found_by("op:imag:forward")
class CopiesWhatMustBeAView(FakeBackend):
    def imag(self, x: Array) -> Array:
        return self.array_type(np.array(x.values.imag))


@found_by("op:cumulative_sum:forward")
class ScansBackwards(FakeBackend):
    def cumulative_sum(self, x: Array, axis: int) -> Array:
        return self.array_type(np.flip(np.cumsum(np.flip(x.values, axis), axis), axis))


@found_by("model:convolutional")
class DropsWhatIsBeyondSeventy(FakeBackend):
    def addmm(self, x: Array, a: Array, b: Array) -> Array:
        return self.array_type(x.values + a.values[:, :70] @ b.values[:70])


@found_by("capability:deterministic-index-add")
class AddsInAnyOrder(FakeBackend):
    def index_add(self, x: Array, source: Array, indices: Array, axis: int) -> Array:
        order = np.random.default_rng().permutation(len(indices.values))
        places = (slice(None),) * axis
        y = sound(self, "index_add")(
            x, self.array_type(source.values[(*places, order)]), self.array_type(indices.values[order]), axis
        )
        return y


@found_by("capability:threads")
class OneScratchForAllThreads(FakeBackend):
    scratch: dict[Any, np.ndarray] = {}  # noqa: RUF012

    def multiply(self, a: Any, b: Any) -> Array:
        y = np.asarray(np.multiply(unwrap(a), unwrap(b)))
        place = self.scratch.setdefault((y.shape, y.dtype), np.empty_like(y))
        place[...] = y
        time.sleep(0)  # where another thread runs
        return self.array_type(place.copy())


@found_by("capability:fork")
class DiesAfterFork(FakeBackend):
    def __init__(self, index: int | None = None) -> None:
        super().__init__(index)
        self.home = os.getpid()

    def exp(self, x: Array) -> Array:
        if os.getpid() != self.home:
            os._exit(3)
        return self.array_type(np.exp(x.values))


class CompilingArray(Array):
    """An array of the device below."""


class CompilingBackend(FakeBackend):
    """`device("compiling")`, without a fault: it takes the sources of elementwise kernels for Python's."""

    device_type = "compiling"
    array_type = CompilingArray

    def elementwise_kernel(self, name: str, source: str, inputs: Any, params: Any) -> Any:
        code = compile(source.partition("=")[2].strip(), name, "eval")

        def kernel(*args: Any) -> Array:
            names = dict(zip((*inputs, *params), map(unwrap, args), strict=True))
            return self.array_type(np.asarray(eval(code, {"exp": np.exp, **names})))

        return kernel


@found_by("capability:elementwise-kernel")
class CompilesForEqualShapes(CompilingBackend):
    def elementwise_kernel(self, name: str, source: str, inputs: Any, params: Any) -> Any:
        kernel = super().elementwise_kernel(name, source, inputs, params)

        def by_number(x: Array, *others: Any) -> Array:  # as a kernel that knows no strides
            wide = [
                self.array_type(np.resize(o.values, x.shape)) if isinstance(o, Array) else o for o in others
            ]
            return kernel(x, *wide)

        return by_number


@found_by("capability:fused")
class FusesForDenseArrays(FusingBackend):
    def fused(self, name: str, function: Any, inputs: int) -> Any:
        kernel = super().fused(name, function, inputs)

        def by_memory(*args: Any, out: Any = None) -> Any:  # as a kernel that knows no strides
            laid = [
                self.array_type(
                    np.lib.stride_tricks.as_strided(a.values, a.shape, np.empty(a.shape, a.dtype).strides)
                )
                if isinstance(a, Array)
                else a
                for a in args
            ]
            return kernel(*laid, out=out)

        return by_memory


@found_by("capability:fused-results")
class RemembersTheFirstNumber(FusingBackend):
    def fused(self, name: str, function: Any, inputs: int) -> Any:
        kernel, first = super().fused(name, function, inputs), []

        def constant(*args: Any, out: Any = None) -> Any:
            first[:] = first or args
            numbers = [a if isinstance(a, Array) else b for a, b in zip(args[:inputs], first)]
            return kernel(*numbers, *args[inputs:], out=out)

        return constant


@found_by("capability:fused-results")
class WritesNothing(FusingBackend):
    def fused(self, name: str, function: Any, inputs: int) -> Any:
        kernel = super().fused(name, function, inputs)
        return lambda *args, out=None: kernel(*args)


@found_by("capability:random")
class SeedsAreIgnored(FakeBackend):
    def stream(self, algorithm: str, seed: int) -> Any:
        found = for_device("cpu").stream(algorithm, 0)
        backend = self

        class Stream:
            initial_seed = seed

            def seed(self, seed: int) -> None:
                found.seed(0)

            def __getattr__(self, name: str) -> Any:
                member = getattr(found, name)
                if name in ("get_state", "set_state"):
                    return member
                return lambda *args, **options: backend.from_numpy(member(*args, **options))

        return Stream()


class FaultyPlugin:
    """The plugin that offers all of them."""

    @hookimpl
    def plugrad_backends(self) -> list[BackendSpec]:
        faulty = [BackendSpec(name, f"{__name__}:{cls.__name__}") for name, (cls, _, _) in FAULTS.items()]
        return [BackendSpec("compiling", f"{__name__}:CompilingBackend"), *faulty]
