"""Functions of vectors that PoCL computes wrongly where lanes differ: here they are made of calls that it computes rightly.

PoCL 3 reduces the arguments of all lanes of `sin`, `cos` and `tan` as large ones if one of them is, by which small ones lose all
digits; and of vectors of eight doubles it gives some lanes of `pow` and `fmod` another one's exponent. Nothing of that concerns
scalars, which are what results must equal.
"""

from __future__ import annotations

import re

from ..expressions.c import OpenCL

#: From here on PoCL takes an argument for a large one.
LARGE = "8388608.0f"
_GUARDED = frozenset([("sin", "float"), ("cos", "float"), ("tan", "float")])
#: The widest vectors that are right.
_HALVED = {("pow", "double"): 4, ("fmod", "double"): 4}
_CALL = re.compile(r"\blanes_([a-z]\w*?)_(float|double)(\d+)\b")


class PoCL(OpenCL):
    """OpenCL C for PoCL, in which such functions have other names; `definitions` has their text."""

    def call(self, name: str, args: list[str], base: str) -> str:
        """A call of a function whose result is of the C type `base`, given without the width."""
        if self.width > 1 and ((name, base) in _GUARDED or self.width > _HALVED.get((name, base), 16)):
            name = f"lanes_{name}_{base}{self.width}"
        return super().call(name, args, base)


def definitions(source: str) -> str:
    """The functions of this module that a program calls."""
    found = sorted({(m[1], m[2], int(m[3])) for m in _CALL.finditer(source)})
    return "\n".join(_guarded(*f) if f[:2] in _GUARDED else _halved(*f) for f in found)


def _guarded(name: str, base: str, width: int) -> str:
    """All lanes at once; where one has a large argument, one after the other."""
    t = f"{base}{width}"
    return f"""inline {t} lanes_{name}_{t}({t} x) {{
    if (!any(fabs(x) >= {LARGE})) return {name}(x);
    {base} lane[{width}];
    vstore{width}(x, 0, lane);
    for (int i = 0; i < {width}; i++) lane[i] = {name}(lane[i]);
    return vload{width}(0, lane);
}}"""


def _halved(name: str, base: str, width: int) -> str:
    """The vectors that are right, side by side."""
    step = _HALVED[name, base]
    pieces = ["".join(f"{i:x}" for i in range(first, first + step)) for first in range(0, width, step)]
    calls = ", ".join(f"{name}(a.s{p}, b.s{p})" for p in pieces)
    t = f"{base}{width}"
    return f"inline {t} lanes_{name}_{t}({t} a, {t} b) {{ return ({t})({calls}); }}"


__all__ = ["PoCL", "definitions"]
