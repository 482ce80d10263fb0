"""The snippets of these pages know the plugins of this checkout, also where it was installed before they were there."""

from importlib.util import find_spec

import plugrad
import plugrad_plugins.special

if not plugrad.plugins.installed().library("special"):
    plugrad.plugins.register(plugrad_plugins.special)

collect_ignore = [] if find_spec("scipy") else ["special.md"]
