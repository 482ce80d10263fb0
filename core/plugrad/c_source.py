"""The C-like statements of `elementwise_kernel`: what they may hold, and their value at a point."""

from __future__ import annotations

import math
import re
from typing import Any

#: Functions that OpenCL C and CUDA share, of floats; with what Python computes them by, where it can.
FUNCTIONS: dict[str, Any] = {
    "acos": math.acos, "acosh": math.acosh, "asin": math.asin, "asinh": math.asinh, "atan": math.atan,
    "atan2": math.atan2, "atanh": math.atanh, "cbrt": math.cbrt, "ceil": math.ceil, "copysign": math.copysign,
    "cos": math.cos, "cosh": math.cosh, "erf": math.erf, "erfc": math.erfc, "exp": math.exp, "exp2": math.exp2,
    "expm1": math.expm1, "fabs": math.fabs, "floor": math.floor, "fma": lambda a, b, c: a * b + c, "fmax": max,
    "fmin": min, "fmod": math.fmod, "hypot": math.hypot, "lgamma": math.lgamma, "log": math.log,
    "log10": math.log10, "log1p": math.log1p, "log2": math.log2, "pow": math.pow, "rint": round, "round": None,
    "rsqrt": lambda a: 1 / math.sqrt(a), "sin": math.sin, "sinh": math.sinh, "sqrt": math.sqrt, "tan": math.tan,
    "tanh": math.tanh, "tgamma": math.gamma, "trunc": math.trunc,
}  # fmt: skip

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?[fF]?)(?![\w.])|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<symbol>&&|\|\||[<>=!+\-*/]=|[-+*/()<>=!?:;,]))"
)
_CURES = {
    "^": "'^' is no power in C: write pow(a, b)",
    "**": "'**' is Python's: write pow(a, b)",
    "%": "'%' is for integers in C: write fmod(a, b)",
    "//": "leave comments out",
    "/*": "leave comments out",
}

Token = tuple[str, str]  # its kind and text


def check(what: str, source: str, variables: tuple[str, ...]) -> list[Token]:
    """The tokens of a source that computes `y` of `variables`; ValueError says what is wrong with it."""
    for wrong, cure in _CURES.items():
        if wrong in source:
            raise ValueError(f"{what}: the source {source!r} holds {wrong!r}: {cure}")
    tokens = _tokens(what, source)
    known, assigned, statement = {*variables, "y"}, False, 0
    for i, (kind, text) in enumerate(tokens):
        before, after = ([*tokens, ("", "")][j][1] for j in (i - 1 if i else len(tokens), i + 1))
        if kind == "name" and text == "float":
            continue
        if kind == "name" and before == "float":
            known.add(text)  # a variable of the source's own
        elif kind == "name" and after == "(":
            if text not in FUNCTIONS:
                cure = "write fabs" if text == "abs" else f"known are {', '.join(FUNCTIONS)}"
                raise ValueError(f"{what}: the source calls {text!r}: {cure}")
        elif text == "y" and after != "=" and not assigned:
            raise ValueError(
                f"{what}: the source reads 'y', the output, before it is assigned: name an input"
            )
        elif kind == "name" and text not in known:
            raise ValueError(
                f"{what}: the source names {text!r}, which is none of {', '.join(sorted(known))}: add it to the "
                "arguments of the NumPy form, or declare it by 'float'"
            )
        elif text == "/" and before.isdigit() and after.isdigit():
            raise ValueError(
                f"{what}: {before}/{after} is {int(before) // max(int(after), 1)} in C: write {before}.0"
            )
        elif text == ";":
            assigned |= tokens[statement][1] == "y"
            statement = i + 1
        elif text in ("=", "+=", "-=", "*=", "/=") and before in variables:
            raise ValueError(
                f"{what}: the source writes to {before!r}: inputs are read only, use a 'float' of its own"
            )
    if not assigned and [text for _, text in tokens[statement : statement + 2]] != ["y", "="]:
        raise ValueError(f"{what}: the source {source!r} assigns nothing to y: write 'y = …'")
    return tokens


def value(tokens: list[Token], point: dict[str, float]) -> float | None:
    """What the source computes at a point; None where it branches, or does not exist there."""
    if any(text in ("?", "&&", "||", "!") for _, text in tokens):
        return None
    words = [text.rstrip("fF") if kind == "number" else text for kind, text in tokens if text != "float"]
    lines = " ".join(words).replace(" ; ", "\n").rstrip("; ")
    scope = {**FUNCTIONS, **point}
    try:
        exec(lines, {"__builtins__": {}}, scope)
        return float(scope["y"])
    except (
        ArithmeticError,
        ValueError,
        TypeError,
    ):  # a division by zero, outside of the domain, no such function
        return None
    except SyntaxError:
        return None


def _tokens(what: str, source: str) -> list[Token]:
    tokens, at = [], 0
    end = len(source.rstrip())
    while at < end:
        match = _TOKEN.match(source, at)
        if match is None:
            raise ValueError(
                f"{what}: the source {source!r} cannot be read at {source[at:].strip()[:20]!r}: it is of statements "
                "'name = expression', each with a ';' after it, on floats"
            )
        tokens.append((match.lastgroup or "", match.group(match.lastgroup or 0)))
        at = match.end()
    return tokens
