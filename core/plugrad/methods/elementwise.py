"""Arithmetic, powers, exponentials, trigonometry and complex numbers under PyTorch's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import dtypes, ops
from ..graph import Variable
from .activation import Activation
from .comparison import Comparison
from .operators import Operators

if TYPE_CHECKING:
    from ..tensor import Tensor


class Elementwise(Operators, Comparison, Activation):
    """Methods that work element by element."""

    __slots__ = ()

    # --- arithmetic -----------------------------------------------------------------------------------------

    def add(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """`self + alpha * other`."""
        return ops.add.call(self, other if alpha == 1 else _scaled(self, other, alpha))

    def sub(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """`self - alpha * other`."""
        return ops.subtract.call(self, other if alpha == 1 else _scaled(self, other, alpha))

    def mul(self, other: Any) -> Tensor:
        """`self * other`."""
        return ops.multiply.call(self, other)

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """`self / other`; with `rounding_mode` "trunc" or "floor" rounded towards zero or down."""
        if rounding_mode is None:
            return ops.divide.call(self, other)
        if rounding_mode == "floor":
            return ops.floor_divide.call(self, other)
        if rounding_mode == "trunc":
            return ops.trunc_divide.call(self, other)
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )

    subtract = sub
    multiply = mul
    divide = div

    def true_divide(self, other: Any) -> Tensor:
        """`self / other`, floating point for integers, too."""
        return ops.divide.call(self, other)

    def floor_divide(self, other: Any) -> Tensor:
        """`self / other` rounded down."""
        return ops.floor_divide.call(self, other)

    def remainder(self, other: Any) -> Tensor:
        """`self` modulo `other`, with the sign of `other`, as Python's `%`."""
        return ops.remainder.call(self, other)

    def fmod(self, other: Any) -> Tensor:
        """`self` modulo `other`, with the sign of `self`."""
        return ops.fmod.call(self, other)

    def neg(self) -> Tensor:
        """The elements with the other sign."""
        return ops.negative.call(self)

    def positive(self) -> Tensor:
        """The tensor itself."""
        return +self

    def abs(self) -> Tensor:
        """The absolute value of each element."""
        return ops.abs_.call(self)

    def reciprocal(self) -> Tensor:
        """1 divided by each element."""
        return ops.reciprocal.call(self)

    negative = neg
    absolute = abs

    def lerp(self, end: Any, weight: Any) -> Tensor:
        """`self + weight * (end - self)`, between `self` (weight 0) and `end` (weight 1)."""
        return ops.lerp.call(self, end, weight)

    def addcmul(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        """`self + value * tensor1 * tensor2`."""
        return ops.addcmul.call(self, tensor1, tensor2, value)

    def addcdiv(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        """`self + value * tensor1 / tensor2`."""
        return ops.addcdiv.call(self, tensor1, tensor2, value)

    # --- powers, exponentials and logarithms ----------------------------------------------------------------

    def pow(self, exponent: Any) -> Tensor:
        """Each element to the power of `exponent`, a number or a tensor."""
        return ops.pow_.call(self, exponent)

    def float_power(self, exponent: Any) -> Tensor:
        """Each element to the power of `exponent`, calculated in float64 or complex128."""
        given = [v.dtype if isinstance(v, Variable) else dtypes.of_scalar(v) for v in (self, exponent)]
        wide = dtypes.complex128 if any(dt.is_complex for dt in given) else dtypes.float64
        return ops.pow_.call(*(v.to(wide) if isinstance(v, Variable) else v for v in (self, exponent)))

    def square(self) -> Tensor:
        """The square of each element."""
        return ops.square.call(self)

    def sqrt(self) -> Tensor:
        """The square root of each element."""
        return ops.sqrt.call(self)

    def rsqrt(self) -> Tensor:
        """1 divided by the square root of each element."""
        return ops.rsqrt.call(self)

    def exp(self) -> Tensor:
        """e to the power of each element."""
        return ops.exp.call(self)

    def exp2(self) -> Tensor:
        """2 to the power of each element."""
        return ops.exp2.call(self)

    def expm1(self) -> Tensor:
        """`exp(x) - 1`, accurate near 0."""
        return ops.expm1.call(self)

    def log(self) -> Tensor:
        """The natural logarithm of each element."""
        return ops.log.call(self)

    def log2(self) -> Tensor:
        """The logarithm to base 2 of each element."""
        return ops.log2.call(self)

    def log10(self) -> Tensor:
        """The logarithm to base 10 of each element."""
        return ops.log10.call(self)

    def log1p(self) -> Tensor:
        """`log(1 + x)`, accurate near 0."""
        return ops.log1p.call(self)

    def logaddexp(self, other: Any) -> Tensor:
        """`log(exp(self) + exp(other))`, without overflow."""
        return ops.logaddexp.call(self, other)

    def erf(self) -> Tensor:
        """The error function of each element."""
        return ops.erf.call(self)

    def erfc(self) -> Tensor:
        """1 minus the error function of each element, accurate where that is small."""
        return ops.erfc.call(self)

    # --- trigonometry ---------------------------------------------------------------------------------------

    def sin(self) -> Tensor:
        """The sine of each element."""
        return ops.sin.call(self)

    def cos(self) -> Tensor:
        """The cosine of each element."""
        return ops.cos.call(self)

    def tan(self) -> Tensor:
        """The tangent of each element."""
        return ops.tan.call(self)

    def asin(self) -> Tensor:
        """The angle in [-π/2, π/2] whose sine each element is."""
        return ops.asin.call(self)

    def acos(self) -> Tensor:
        """The angle in [0, π] whose cosine each element is."""
        return ops.acos.call(self)

    def atan(self) -> Tensor:
        """The angle in [-π/2, π/2] whose tangent each element is."""
        return ops.atan.call(self)

    def atan2(self, other: Any) -> Tensor:
        """The angle of the point (`other`, `self`), in [-π, π]."""
        return ops.atan2.call(self, other)

    def sinh(self) -> Tensor:
        """The hyperbolic sine of each element."""
        return ops.sinh.call(self)

    def cosh(self) -> Tensor:
        """The hyperbolic cosine of each element."""
        return ops.cosh.call(self)

    def asinh(self) -> Tensor:
        """The inverse hyperbolic sine of each element."""
        return ops.asinh.call(self)

    def acosh(self) -> Tensor:
        """The inverse hyperbolic cosine of each element."""
        return ops.acosh.call(self)

    def atanh(self) -> Tensor:
        """The inverse hyperbolic tangent of each element."""
        return ops.atanh.call(self)

    def hypot(self, other: Any) -> Tensor:
        """The length of the hypotenuse, `sqrt(self**2 + other**2)`, without overflow."""
        return ops.hypot.call(self, other)

    arcsin = asin
    arccos = acos
    arctan = atan
    arctan2 = atan2
    arcsinh = asinh
    arccosh = acosh
    arctanh = atanh

    # --- steps ----------------------------------------------------------------------------------------------

    def floor(self) -> Tensor:
        """Each element rounded down."""
        return ops.floor.call(self)

    def ceil(self) -> Tensor:
        """Each element rounded up."""
        return ops.ceil.call(self)

    def trunc(self) -> Tensor:
        """Each element rounded towards zero."""
        return ops.trunc.call(self)

    def round(self, *, decimals: int = 0) -> Tensor:
        """Each element rounded to `decimals` places, halves to even."""
        return ops.round_.call(self, decimals)

    def frac(self) -> Tensor:
        """The part of each element behind the point, with its sign."""
        return ops.frac.call(self)

    def sign(self) -> Tensor:
        """-1, 0 or 1 for each element; `sgn` is for complex numbers."""
        return ops.sign.call(self)

    fix = trunc

    def copysign(self, other: Any) -> Tensor:
        """The magnitude of each element with the sign of `other`."""
        return ops.copysign.call(self, other)

    def heaviside(self, values: Any) -> Tensor:
        """0 for negative elements, 1 for positive ones, and `values` for zeros."""
        return ops.heaviside.call(self, values)

    # --- complex numbers ------------------------------------------------------------------------------------

    @property
    def real(self) -> Tensor:
        """The real part, which shares the memory."""
        return ops.real.call(self) if self.is_complex() else self

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> Tensor:
        """The imaginary part of a complex tensor, which shares the memory."""
        if not self.is_complex():
            raise RuntimeError(
                f"imag is not implemented for tensors with non-complex dtypes, found {self.dtype}"
            )
        return ops.imag.call(self)

    @imag.setter
    def imag(self, value: Any) -> None:
        self.imag[...] = value

    def conj(self) -> Tensor:
        """The complex conjugate; of a real tensor the tensor itself."""
        return ops.conj.call(self) if self.is_complex() else self

    def conj_physical(self) -> Tensor:
        """The complex conjugate; of a real tensor the tensor itself."""
        return self.conj()

    def sgn(self) -> Tensor:
        """`x / |x|`, the direction of each element, 0 for 0."""
        return ops.sgn.call(self)

    def angle(self) -> Tensor:
        """The angle of each complex number; of a real one 0, or π if it is negative."""
        return ops.angle.call(
            self if self.dtype.category >= dtypes.FLOAT else self.to(dtypes.get_default_dtype())
        )


def _scaled(self: Any, other: Any, alpha: Any) -> Any:
    whole = self.dtype.category < dtypes.FLOAT and not (
        isinstance(other, Variable) and other.dtype.category >= dtypes.FLOAT
    )
    if whole and isinstance(alpha, float):
        raise RuntimeError(
            f"For integral input tensors, argument alpha must not be a floating point number, found {alpha}"
        )
    return other * alpha
