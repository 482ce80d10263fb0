"""The in-place forms of methods that have no faster way than to compute a new tensor and to write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import writes
from ..graph import Variable
from .inplace import computed


def _values(name: str) -> Callable[..., Any]:
    """The method `name_`: what the method `name` gives, written into the tensor."""

    def form(self: Any, *args: Any, **options: Any) -> Any:
        operands = (*args, *options.values())
        return computed(self, lambda: getattr(self, name)(*args, **options), operands, f"{name}_")

    form.__name__ = f"{name}_"
    form.__doc__ = f"`{name}` in place."
    return form


def _shape(name: str) -> Callable[..., Any]:
    """The method `name_`: makes the tensor the view that the method `name` gives; views of it stay what they were."""

    def form(self: Any, *args: Any, **options: Any) -> Any:
        shape = self.shape

        def back(t: Any) -> Any:
            swaps = name not in ("squeeze", "unsqueeze")
            return getattr(t, name)(*args, **options) if swaps else t.view(shape)

        return writes.turn(self, lambda: getattr(self, name)(*args, **options), back, f"{name}_")

    form.__name__ = f"{name}_"
    form.__doc__ = f"`{name}` of this very tensor: its elements stay where they are."
    return form


class InPlaceForms(Variable):
    """Methods that write what the method without the underscore returns."""

    __slots__ = ()

    acos_ = arccos_ = _values("acos")
    acosh_ = arccosh_ = _values("acosh")
    asin_ = arcsin_ = _values("asin")
    asinh_ = arcsinh_ = _values("asinh")
    atan_ = arctan_ = _values("atan")
    atanh_ = arctanh_ = _values("atanh")
    atan2_ = arctan2_ = _values("atan2")
    cos_, cosh_ = _values("cos"), _values("cosh")
    sin_, sinh_ = _values("sin"), _values("sinh")
    tan_, tanh_ = _values("tan"), _values("tanh")
    exp2_, expm1_ = _values("exp2"), _values("expm1")
    log_, log1p_ = _values("log"), _values("log1p")
    log2_, log10_ = _values("log2"), _values("log10")
    erf_, erfc_ = _values("erf"), _values("erfc")
    sigmoid_ = _values("sigmoid")

    addcmul_, addcdiv_ = _values("addcmul"), _values("addcdiv")
    lerp_ = _values("lerp")
    floor_divide_ = _values("floor_divide")
    remainder_, fmod_ = _values("remainder"), _values("fmod")
    reciprocal_, rsqrt_ = _values("reciprocal"), _values("rsqrt")
    square_, float_power_ = _values("square"), _values("float_power")
    hypot_, copysign_ = _values("hypot"), _values("copysign")
    cumsum_, cumprod_ = _values("cumsum"), _values("cumprod")
    addmm_, addmv_ = _values("addmm"), _values("addmv")
    addr_, addbmm_, baddbmm_ = _values("addr"), _values("addbmm"), _values("baddbmm")
    conj_physical_ = _values("conj_physical")

    ceil_, floor_ = _values("ceil"), _values("floor")
    round_, frac_ = _values("round"), _values("frac")
    trunc_ = fix_ = _values("trunc")
    sign_, sgn_ = _values("sign"), _values("sgn")
    clamp_min_, clamp_max_ = _values("clamp_min"), _values("clamp_max")
    nan_to_num_ = _values("nan_to_num")
    tril_, triu_ = _values("tril"), _values("triu")

    eq_, ne_ = _values("eq"), _values("ne")
    lt_, le_ = _values("lt"), _values("le")
    gt_, ge_ = _values("gt"), _values("ge")
    not_equal_, heaviside_ = ne_, _values("heaviside")
    less_, less_equal_, greater_, greater_equal_ = lt_, le_, gt_, ge_
    logical_and_, logical_or_ = _values("logical_and"), _values("logical_or")
    logical_not_, logical_xor_ = _values("logical_not"), _values("logical_xor")
    bitwise_and_, bitwise_or_ = _values("bitwise_and"), _values("bitwise_or")
    bitwise_not_, bitwise_xor_ = _values("bitwise_not"), _values("bitwise_xor")
    bitwise_left_shift_, bitwise_right_shift_ = _values("bitwise_left_shift"), _values("bitwise_right_shift")

    squeeze_, unsqueeze_ = _shape("squeeze"), _shape("unsqueeze")
    transpose_ = swapaxes_ = swapdims_ = _shape("transpose")
    t_ = _shape("t")
