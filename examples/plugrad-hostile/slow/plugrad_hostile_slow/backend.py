"""A heavy array library."""

import time

time.sleep(1)

raise ImportError("slow: the array library was not built for this machine")
