"""The backend: `jax.numpy` follows the array API standard, and does more with indices."""

import jax
import jax.numpy as jnp

from plugrad.sdk import ArrayAPIBackend

jax.config.update("jax_enable_x64", True)  # otherwise float64 and int64 silently become 32 bits wide


class JaxBackend(ArrayAPIBackend):
    """JAX's arrays, on the device that JAX takes by default."""

    device_type = "jax"
    namespace = jnp

    def lend(self, raw):
        return raw  # nobody can write into it

    def synchronize(self):
        jax.block_until_ready(jnp.zeros(()))

    def setitem(self, raw, key, value):
        return raw.at[key].set(jnp.asarray(value, raw.dtype))

    def index_add(self, x, source, indices, axis):
        return _added(x, (slice(None),) * axis + (indices,), source)

    def complex(self, a, b):
        return jax.lax.complex(*jnp.broadcast_arrays(a, b))

    def index_get(self, x, key):
        return x[key]

    def embed_add(self, x, key, shape):
        return _added(jnp.zeros(shape, x.dtype), key, x)


def _added(x, key, values):
    """`x` with `values` added at a key; of bools the sum is "or"."""
    return x.at[key].max(values) if x.dtype == bool else x.at[key].add(values)
