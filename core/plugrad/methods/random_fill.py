"""Methods that fill a tensor with random numbers."""

from __future__ import annotations

from typing import Any

from .. import dtypes, random
from ..graph import Variable
from .inplace import overwrite


class RandomFill(Variable):
    """`uniform_`, `normal_` and their like."""

    __slots__ = ()

    def _draw(self, generator: Any, name: str) -> Any:
        return random.stream_for(generator, self.device, name)

    def _float_dtype(self, name: str) -> Any:
        if self.dtype.category < dtypes.FLOAT:
            raise NotImplementedError(
                f"{name}: not possible for {self.dtype}: convert the tensor with .float() first"
            )
        return self.dtype.numpy

    def uniform_(self, from_: float = 0.0, to: float = 1.0, *, generator: Any = None, **bounds: float) -> Any:
        """Fill with uniform numbers from [`from`, `to`)."""
        low = bounds.pop("from", from_)
        values = self._draw(generator, "uniform_").uniform(
            tuple(self.shape), self._float_dtype("uniform_"), low, to
        )
        return overwrite(self, values, "uniform_")

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
        """Fill with normal numbers."""
        values = self._draw(generator, "normal_").normal(
            tuple(self.shape), self._float_dtype("normal_"), mean, std
        )
        return overwrite(self, values, "normal_")

    def random_(self, *bounds: Any, generator: Any = None, **named: Any) -> Any:
        """Fill with integers: `random_(from, to)` from [`from`, `to`), `random_(to)` from [0, `to`).

        `random_()` and `random_(from, None)` go up to the largest that the dtype holds, or holds exactly with all
        that are smaller: 2**24 for float32, 2**53 for float64, 2**11 for float16.
        """
        bounds = (*([named.pop("from")] if "from" in named else []), *bounds, *named.values())
        dt, wide = self.dtype, None
        if dt.category > dtypes.FLOAT:
            raise NotImplementedError(f"random_: not possible for {dt}: fill the real and the imaginary part")
        bits = {"bool": 1, "float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
        end = 2 ** bits.get(dt.name, 8 * dt.itemsize - dt.is_signed) + dt.is_floating_point
        if bounds:
            low, high = bounds if len(bounds) == 2 else (0, bounds[0])
            high = end if high is None else high
        else:
            low, high, wide = 0, end, dt.itemsize == 8
        if low >= high:
            raise RuntimeError(
                f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
            )
        values = self._draw(generator, "random_").randint(low, high, tuple(self.shape), dt.numpy, wide)
        return overwrite(self, values, "random_")

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Any:
        """Fill with ones of probability `p`, a number or a tensor of probabilities, else zeros."""
        chance = p
        if isinstance(p, Variable):
            random.check_probabilities(p, "bernoulli_")
        stream = self._draw(generator, "bernoulli_")
        if isinstance(p, Variable):
            chance = random.chances(p.detach().expand(self.shape), stream, "bernoulli_")
        return overwrite(self, stream.bernoulli(chance, tuple(self.shape)), "bernoulli_")

    def bernoulli(self, p: Any = None, *, generator: Any = None) -> Any:
        """Ones with these probabilities, or with the probability `p`, else zeros: a new tensor."""
        return random.bernoulli(self, p, generator=generator)
