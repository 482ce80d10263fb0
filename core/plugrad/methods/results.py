"""What methods return that give several tensors: tuples with names, printed as PyTorch prints them.

They are made from a sequence: `results.sort((values, indices))`. Each is a name of this module, so that it
pickles.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any


class Named(tuple[Any, ...]):
    """The base of all of them: a tuple whose `fields` are attributes, too.

    >>> max((4, 1)).indices, max((4, 1))
    (1, torch.return_types.max(
    values=4,
    indices=1))
    """

    __slots__ = ()
    fields: tuple[str, ...] = ()

    def __new__(cls, values: Iterable[Any]) -> Named:
        self = tuple.__new__(cls, values)
        if len(self) != len(cls.fields):
            raise TypeError(
                f"{cls.__name__}: expected a sequence of {len(cls.fields)} elements, found {len(self)}"
            )
        return self

    def __repr__(self) -> str:
        lines = ",\n".join(f"{name}={value!r}" for name, value in zip(self.fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{lines})"


def named(name: str, *fields: str) -> Any:
    """A subclass of `Named` that PyTorch calls `torch.return_types.<name>`."""
    members = {field: property(itemgetter(i)) for i, field in enumerate(fields)}
    return type(name, (Named,), {"__slots__": (), "__module__": __name__, "fields": fields, **members})


max = named("max", "values", "indices")
min = named("min", "values", "indices")
aminmax = named("aminmax", "min", "max")
median = named("median", "values", "indices")
mode = named("mode", "values", "indices")
cummax = named("cummax", "values", "indices")
cummin = named("cummin", "values", "indices")
sort = named("sort", "values", "indices")
topk = named("topk", "values", "indices")
kthvalue = named("kthvalue", "values", "indices")
slogdet = named("slogdet", "sign", "logabsdet")
linalg_slogdet = named("linalg_slogdet", "sign", "logabsdet")
