"""The backend of `device("banana")`: the functions of the array API standard are those of array_api_strict.

For what the standard leaves out plugrad makes kernels of it; a member named like an op (`plugrad ops --missing banana` lists
them) takes its place where the library has a better one.
"""

import array_api_strict

from plugrad.sdk import ArrayAPIBackend


class BananaBackend(ArrayAPIBackend):
    """plugrad on array_api_strict."""

    device_type = "banana"
    namespace = array_api_strict
