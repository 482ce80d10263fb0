"""Who is told of plugins: implementations of the hook `plugrad_registered`, of past plugins and of those to come."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

from ..errors import PluginError, PluginWarning
from .loader import PluginRecord, describe

Listener = tuple[PluginRecord, Callable[..., object]]  # with the plugin that it belongs to


class Listeners:
    """The listeners among the plugins announced so far, and what they were told."""

    def __init__(self) -> None:
        self._told: list[PluginRecord] = []
        self._listeners: list[Listener] = []

    def announce(self, records: list[PluginRecord]) -> None:
        """Tell those who listen of new plugins, and new ones among those who listen of all before."""
        for record in records:
            self._told.append(record)
            for listener in list(self._listeners):
                self._tell(listener, record)
            for function in record.listeners if record.state == "loaded" else ():
                listener = (record, function)
                self._listeners.append(listener)
                for past in list(self._told):
                    self._tell(listener, past)

    def _tell(self, listener: Listener, record: PluginRecord) -> None:
        """Call a listener; one that fails is not called again."""
        owner, function = listener
        if listener not in self._listeners:
            return
        try:
            function(record)
        except (Exception, SystemExit) as error:
            self._listeners.remove(listener)
            told = f"its plugrad_registered, told of {record.title}, failed: {describe(error)}"
            message = (
                f"{owner.title}: {told}; all else works; silence this by PLUGRAD_DISABLE_PLUGINS={owner.name}"
            )
            if is_strict():
                raise PluginError(message) from error
            warnings.warn(message, PluginWarning, stacklevel=2)


def is_strict() -> bool:
    """Whether the environment wants failures of plugins to be errors."""
    return os.environ.get("PLUGRAD_STRICT_PLUGINS", "0") not in ("", "0")
