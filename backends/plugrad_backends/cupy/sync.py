"""Where the host waits for the device: every such place calls `note`, and a mode makes that an error or a warning."""

from __future__ import annotations

import sys
import warnings

from plugrad.strict import user_place

MODES = ("default", "warn", "error")
#: "default": waiting is allowed; "warn" and "error" tell of it.
mode = "default"


class SyncError(RuntimeError):
    """The host was about to wait for the device in the mode "error"."""


def set_mode(value: str | int) -> None:
    """Choose one of `MODES`, by name or number."""
    global mode
    if isinstance(value, int) and 0 <= value < len(MODES):
        value = MODES[value]
    if value not in MODES:
        raise RuntimeError(
            f"invalid value of debug_mode, expected one of {', '.join(map(repr, MODES))} or 0, 1, 2, found {value!r}"
        )
    mode = str(value)


def note(what: str) -> None:
    """Say that the host waits for the device now: for `what`."""
    if mode == "default":
        return
    file, line = user_place()
    asked = _asked()
    by = f" in {asked}" if asked and asked != what else ""
    text = f"called a synchronizing CUDA operation: {what}{by}, at {file}:{line}"
    if mode == "error":
        raise SyncError(
            f"{text}: keep the value on the device until the step is over, or plugrad.cuda.set_sync_debug_mode('default')"
        )
    warnings.warn(text, stacklevel=2)


def _asked() -> str:
    """The name of the outermost function of plugrad on the way from the user's line to here."""
    frame, name = sys._getframe(2), ""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if module not in ("plugrad", "plugrad_backends") and not frame.f_code.co_filename.startswith(
            "<plugrad"
        ):
            break
        if not frame.f_code.co_name.startswith(("<", "_")):
            name = frame.f_code.co_name
        frame = frame.f_back  # type: ignore[assignment]
    return name
