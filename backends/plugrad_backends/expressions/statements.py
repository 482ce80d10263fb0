"""Expressions of C statements: those of an operator that is declared by `plugrad.elementwise_kernel`."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any

from plugrad import c_source

from .expr import Expr, Value, const
from .functions import Functions, cast, lifted

_BINARY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_COMPARE = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip


def function_of(name: str, source: str, variables: Sequence[str]) -> Callable[..., Any]:
    """The function of expressions that computes `y` as the statements do."""
    program = ast.parse(c_source.program(c_source.check(f"op {name!r}", source, tuple(variables))))

    def compute(*values: Any) -> Any:
        like = next(v for v in values if isinstance(v, Value))
        scope = {n: v if isinstance(v, Value) else const(v, like.dtype) for n, v in zip(variables, values)}
        for statement in program.body:
            value = None
            if isinstance(statement, ast.Assign):
                target: Any = statement.targets[0]
                value = _value(statement.value, scope, like)
            elif isinstance(statement, ast.AugAssign):
                target = statement.target
                value = _BINARY[type(statement.op)](scope[target.id], _value(statement.value, scope, like))
            if value is None:
                raise TypeError(f"{name}: no statement that assigns: {ast.unparse(statement)}")
            scope[target.id] = cast(value, like.dtype)  # a variable is a float, what a comparison gives, too
        return scope["y"]

    return compute


def _value(node: Any, scope: dict[str, Any], like: Any) -> Any:
    """The expression of a node: always one, numbers included."""

    def of(part: Any) -> Any:
        return _value(part, scope, like)

    if isinstance(node, ast.Constant):
        return const(node.value, like.dtype)
    if isinstance(node, ast.Name):
        return scope[node.id]
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_number(of(node.left), like), _number(of(node.right), like))
    if isinstance(node, ast.UnaryOp):
        x = of(node.operand)
        if isinstance(node.op, ast.Invert):  # C's !
            return Functions.logical_not(x)
        return _number(x, like) if isinstance(node.op, ast.UAdd) else -_number(x, like)
    if isinstance(node, ast.IfExp):
        condition = (
            Functions.not_equal(of(node.test), 0) if of(node.test).dtype.kind != "b" else of(node.test)
        )
        return Functions.where(condition, *lifted(of(node.body), of(node.orelse)))
    if isinstance(node, ast.BoolOp):
        join = Functions.logical_and if isinstance(node.op, ast.And) else Functions.logical_or
        found = of(node.values[0])
        for part in node.values[1:]:
            found = join(found, of(part))
        return found
    if isinstance(node, ast.Compare):
        return _COMPARE[type(node.ops[0])](of(node.left), of(node.comparators[0]))
    if isinstance(node, ast.Call):
        args = [_number(of(a), like) for a in node.args]
        function: Any = node.func
        return Expr("call", (function.id, *args), like.dtype)
    raise TypeError(f"no expression of {ast.unparse(node)}")


def _number(x: Any, like: Any) -> Any:
    """What a comparison gives counts as 0 or 1."""
    return cast(x, like.dtype)
