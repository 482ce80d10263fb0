"""Modules that hold modules: in a row, in a list, in a dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import index
from typing import Any

from .module import Module, layout


class _Numbered(Module):
    """Submodules under the names "0", "1", …."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, key: Any) -> Any:
        modules: list[Any] = list(self._modules.values())
        return type(self)._of(modules[key]) if isinstance(key, slice) else modules[self._position(key)]

    def __setitem__(self, key: int, module: Module) -> None:
        setattr(self, list(self._modules)[self._position(key)], module)

    def __delitem__(self, key: Any) -> None:
        modules = list(self._modules.values())
        del modules[key if isinstance(key, slice) else self._position(key)]
        self._replace(modules)

    def __add__(self, other: Iterable[Module]) -> Any:
        return type(self)._of([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> Any:
        return self.extend(other)

    @classmethod
    def _of(cls, modules: list[Module]) -> Any:
        raise NotImplementedError

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end; returns the container."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before the one at `index`; returns the container."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._replace(modules)
        return self

    def _replace(self, modules: list[Any]) -> None:
        self._modules.clear()
        self.extend(modules)

    def _position(self, key: Any) -> int:
        i = index(key)
        if not -len(self) <= i < len(self):
            raise IndexError(
                f"index {i} is out of range: the {type(self).__name__} holds {len(self)} modules"
            )
        return i % len(self)


class Sequential(_Numbered):
    """Modules of which each is called with what the one before it returned.

    >>> from plugrad import nn
    >>> nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    Sequential(
      (0): Linear(in_features=3, out_features=4, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = (
            args[0]
            if len(args) == 1 and isinstance(args[0], Mapping)
            else {str(i): m for i, m in enumerate(args)}
        )
        for name, module in named.items():
            self.add_module(name, module)

    @classmethod
    def _of(cls, modules: list[Module]) -> Any:
        return cls(*modules)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):  # names are kept
            return type(self)(dict(list(self._modules.items())[key]))
        return super().__getitem__(key)

    def __delitem__(self, key: Any) -> None:
        # Only names that are plain numbers are counted anew.
        numbered = list(self._modules) == [str(i) for i in range(len(self))]
        names = list(self._modules)[key if isinstance(key, slice) else self._position(key)]
        for name in names if isinstance(names, list) else [names]:
            del self._modules[name]
        if numbered:
            self._replace(list(self._modules.values()))

    def forward(self, input: Any) -> Any:
        """The last module's result."""
        for module in self:
            input = module(input)
        return input


class ModuleList(_Numbered):
    """A list of modules, whose parameters the module that holds it knows."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    @classmethod
    def _of(cls, modules: list[Module]) -> Any:
        return cls(modules)

    def pop(self, key: int) -> Any:
        """Take a module out of the list and return it."""
        module = self[key]
        del self[key]
        return module

    def __repr__(self) -> str:
        return layout(type(self).__name__, [], list(_equal_ones_once(map(repr, self))))


def _equal_ones_once(texts: Iterable[str]) -> Iterator[str]:
    """`(0-2): 3 x Linear(…)` for neighbours that print alike."""
    start, stop, last = 0, 0, ""
    for text in [*texts, None]:
        if text != last and stop > start:
            yield (
                f"({start}): {last}"
                if stop - start == 1
                else f"({start}-{stop - 1}): {stop - start} x {last}"
            )
            start = stop
        stop, last = stop + 1, text or ""


class ModuleDict(Module):
    """A dictionary of modules, whose parameters the module that holds it knows."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return self._modules.items()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules by name."""
        for name, module in dict(modules).items():
            self[name] = module

    def pop(self, key: str) -> Any:
        """Take a module out of the dictionary and return it."""
        return self._modules.pop(key)

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()
