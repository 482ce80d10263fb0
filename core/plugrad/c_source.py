"""The C-like statements of `elementwise_kernel`: what they may hold, and their value at a point."""

from __future__ import annotations

import ast
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

#: Words that are no names in C.
_KEYWORDS = frozenset(
    (
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "for",
    )
    + (
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
    )
    + (
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "half",
        "bool",
        "kernel",
        "global",
    )
)

#: What a cast may name in C.
_TYPES = frozenset(
    [
        "float",
        "double",
        "half",
        "int",
        "uint",
        "long",
        "ulong",
        "short",
        "ushort",
        "char",
        "uchar",
        "bool",
        "size_t",
        "unsigned",
    ]
)
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
        if (before, after) == ("(", ")") and text in _TYPES:
            raise ValueError(
                f"{what}: the source {source!r} casts by ({text}): all is of the dtype of the arrays: leave the cast out"
                f"{', and write trunc(…) for the whole part' if text not in ('float', 'double', 'half') else ''}"
            )
        if kind == "name" and text == "float":
            if after == "(":
                raise ValueError(f"{what}: the source converts by float(…), which is not C: write 1.0 * …")
            continue
        if kind == "name" and before == "float":
            if after != "=":
                raise ValueError(f"{what}: the source gives {text!r} no value: write 'float {text} = …'")
            if text in _KEYWORDS:
                raise ValueError(
                    f"{what}: the source calls a variable {text!r}, which is a word of C: choose another name"
                )
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
    try:
        tree = ast.parse(program(tokens))
    except SyntaxError as error:
        raise ValueError(
            f"{what}: the source {source!r} is no list of statements in C: {error.msg}"
        ) from None
    for node in ast.walk(tree):
        reason = _otherwise_in_c(node)
        if reason:
            raise ValueError(f"{what}: the source {source!r} {reason}")
    return tokens


def _otherwise_in_c(node: ast.AST) -> str:
    """Why an expression would mean something else in C than here; empty where it does not."""
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        return "compares in a chain, which C takes from the left: write 'a < b && b < c'"
    if isinstance(node, ast.BoolOp) and not all(
        isinstance(part, (ast.Compare, ast.BoolOp, ast.UnaryOp)) for part in node.values
    ):
        return "takes a number for true or false, which gives 0 or 1 in C: write 'x != 0.0 && …'"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_integer(node):
        return "divides integers, which C rounds towards 0: write 1.0 for 1"
    return ""


def _is_integer(node: ast.AST) -> bool:
    """Whether an expression is an integer in C: made of integers, or of comparisons."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int)
    if isinstance(node, ast.BinOp):
        return _is_integer(node.left) and _is_integer(node.right)
    if isinstance(node, ast.IfExp):
        return _is_integer(node.body) and _is_integer(node.orelse)
    return isinstance(node, (ast.Compare, ast.BoolOp)) or (
        isinstance(node, ast.UnaryOp) and _is_integer(node.operand)
    )


def value(tokens: list[Token], point: dict[str, float]) -> float | None:
    """What the source computes at a point; None where that does not exist, or a function is unknown here."""
    if any(text == "!" for _, text in tokens):  # it binds closer than Python's 'not'
        return None
    scope = {"__builtins__": {}, **FUNCTIONS, **point}
    try:
        exec(program(tokens), scope)
        return float(scope["y"])
    except (ArithmeticError, ValueError, TypeError):
        return None


def program(tokens: list[Token]) -> str:
    """The statements as Python's, one a line."""
    statements = _split([token for token in tokens if token[1] != "float"], ";")
    return "\n".join(
        " ".join([*(text for _, text in statement[:2]), _python(statement[2:])]) for statement in statements
    )


def _python(tokens: list[Token]) -> str:
    """A C expression as Python's."""
    depth, question, open_questions = 0, None, 0
    for i, (_, text) in enumerate(tokens):
        depth += (text == "(") - (text == ")")
        if depth == 0 and text == "?":
            question = i if question is None else question
            open_questions += 1
        elif depth == 0 and text == ":":
            open_questions -= 1
            if open_questions == 0:  # the one that belongs to the first '?'
                condition, yes, no = tokens[:question], tokens[(question or 0) + 1 : i], tokens[i + 1 :]
                return f"(({_python(yes)}) if ({_python(condition)}) else ({_python(no)}))"
    words, i = [], 0
    while i < len(tokens):
        kind, text = tokens[i]
        if text == "(":
            end = _closing(tokens, i)
            words.append(f"({', '.join(map(_python, _split(tokens[i + 1 : end], ',')))})")
            i = end
        else:
            words.append(
                {"&&": "and", "||": "or", "!": "~"}.get(text, text.rstrip("fF") if kind == "number" else text)
            )
        i += 1
    return " ".join(words)


def _closing(tokens: list[Token], start: int) -> int:
    """Where the parenthesis at `start` is closed."""
    depth = 0
    for i in range(start, len(tokens)):
        depth += (tokens[i][1] == "(") - (tokens[i][1] == ")")
        if depth == 0:
            return i
    raise SyntaxError("a parenthesis is not closed")


def _split(tokens: list[Token], separator: str) -> list[list[Token]]:
    """The parts between separators that are not within parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token[1] == "(") - (token[1] == ")")
        if token[1] == separator and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


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
