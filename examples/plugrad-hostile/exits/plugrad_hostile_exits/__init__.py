"""A plugin that gives up, and wants everybody to."""

import sys

sys.exit("exits: no licence found")
