"""The backend of `device("banana")`: what every backend must have, and nothing else.

NumPy stands in for your array library, so that all tests pass from the first day. Replace it member by member; the law of
each is in the docstring of the same name in `plugrad.sdk.Backend`. For any other op plugrad makes a kernel of these; a member
named like the op (`plugrad ops --missing banana` lists them) takes its place where your library has a better one.
"""

import numpy as np

from plugrad.errors import DeviceError
from plugrad.sdk import Backend, dtypes

#: plugrad's dtypes that the device computes in, and what your library calls them.
DTYPES = {
    dtypes.bool_: np.bool_,
    dtypes.uint8: np.uint8,
    dtypes.int32: np.int32,
    dtypes.int64: np.int64,
    dtypes.float32: np.float32,
    dtypes.float64: np.float64,
}


class Array(np.ndarray):
    """A stand-in for your library's array. NumPy's own type belongs to the device "cpu"."""


def array(values):
    """What NumPy gave as an Array; NumPy makes scalars and arrays of its own type, too."""
    return np.asarray(values).view(Array)


class BananaBackend(Backend):
    """plugrad on NumPy under another name."""

    device_type = "banana"
    array_type = Array
    # Where arrays are never written, a write makes a new one, and these members suffice. `Backend` has what else there is
    # for a library whose arrays are views of memory.
    inplace = False
    dtypes = frozenset(
        {dtypes.bool_, dtypes.uint8, dtypes.int32, dtypes.int64, dtypes.float32, dtypes.float64}
    )

    # memory

    def from_numpy(self, array_):
        return array(array_.copy())

    def to_numpy(self, raw):
        return np.array(raw)

    def empty(self, shape, dtype):
        if dtype not in DTYPES:
            raise DeviceError(f"device 'banana' has no {dtype.name}")
        return array(np.empty(shape, DTYPES[dtype]))

    def synchronize(self):
        pass

    def setitem(self, raw, key, value):
        result = raw.copy()
        result[key] = value
        return result

    # shape and dtype

    def reshape(self, x, shape):
        return np.reshape(x, shape)

    def permute_dims(self, x, axes):
        return np.transpose(x, axes)

    def broadcast_to(self, x, shape):
        return array(np.broadcast_to(x, shape))

    def getitem(self, x, key):
        return array(x[key])

    def astype(self, x, dtype):
        return x.astype(DTYPES[dtype])

    # element by element

    def negative(self, x):
        return array(np.negative(x))

    def exp(self, x):
        return array(np.exp(x))

    def log(self, x):
        return array(np.log(x))

    def sqrt(self, x):
        return array(np.sqrt(x))

    def sin(self, x):
        return array(np.sin(x))

    def cos(self, x):
        return array(np.cos(x))

    def tanh(self, x):
        return array(np.tanh(x))

    def abs(self, x):
        return array(np.abs(x))

    def sign(self, x):
        return array(np.sign(x))

    def floor(self, x):
        return array(np.floor(x))

    def logical_not(self, x):
        return array(np.logical_not(x))

    def add(self, a, b):
        return array(np.add(a, b))

    def subtract(self, a, b):
        return array(np.subtract(a, b))

    def multiply(self, a, b):
        return array(np.multiply(a, b))

    def divide(self, a, b):
        return array(np.true_divide(a, b))

    def pow(self, a, b):
        dtype = np.result_type(a, b)
        if dtype.kind == "f":
            return array(np.power(a, b))
        # NumPy refuses negative powers of integers: they are 1 / a**-b, rounded towards 0.
        rounded = np.where(np.abs(a) == 1, np.power(a, np.abs(b)), 0)
        return array(np.where(np.less(b, 0), rounded, np.power(a, np.maximum(b, 0))).astype(dtype))

    def maximum(self, a, b):
        return array(np.maximum(a, b))

    def equal(self, a, b):
        return array(np.equal(a, b))

    def less(self, a, b):
        return array(np.less(a, b))

    def where(self, condition, a, b):
        return array(np.where(condition, a, b))

    # reductions, products, indices

    def sum(self, x, axis, keepdims):
        dtype = x.dtype if x.dtype.kind == "f" else np.int64
        return array(np.sum(x, axis, dtype, keepdims=keepdims))

    def max(self, x, axis, keepdims):
        return array(np.max(x, axis, keepdims=keepdims))

    def argmax(self, x, axis, keepdims):
        return array(np.argmax(x, axis, keepdims=keepdims))

    def matmul(self, a, b):
        return array(np.matmul(a, b))

    def take(self, x, indices, axis):
        return array(np.take(x, indices, axis))

    def index_add(self, x, source, indices, axis):
        result = x.copy()
        np.add.at(result, (slice(None),) * axis + (indices,), source)
        return result
