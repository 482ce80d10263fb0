"""The backend: the standard's functions are array-api-strict's."""

import warnings

import array_api_strict

from plugrad.sdk import ArrayAPIBackend

# Its dtypes hash like NumPy's, so that a look-up among both compares them, of which it warns.
warnings.filterwarnings("ignore", "You are comparing a array_api_strict dtype", UserWarning)


class StrictBackend(ArrayAPIBackend):
    """A library that implements the array API standard to the letter, and nothing beyond it."""

    device_type = "strict"
    namespace = array_api_strict
