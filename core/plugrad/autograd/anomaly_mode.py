"""Anomaly mode: `torch.autograd.detect_anomaly`."""

from __future__ import annotations

from typing import Any

from ..modes import ANOMALY, active, decorated, set_mode, thread


class set_detect_anomaly:
    """Switch anomaly mode on or off in the calling thread, from here on; as a context manager, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = bool(thread.mode & ANOMALY), thread.anomaly_checks_nan
        _set(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _set(*self._before)


class detect_anomaly:
    """In here ops and backwards that make a NaN raise, name the op, and show where it was called. Slow.

    A backward names that line if the forward was done in here, too.

    >>> import plugrad as torch
    >>> x = torch.tensor([0.0], requires_grad=True)
    >>> with torch.autograd.detect_anomaly():
    ...     (x.sqrt() * 0).backward()
    Traceback (most recent call last):
    RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output. ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        self._before = bool(thread.mode & ANOMALY), thread.anomaly_checks_nan
        _set(True, self._check_nan)

    def __exit__(self, *error: object) -> None:
        _set(*self._before)

    def __call__(self, function: Any) -> Any:
        return decorated(function, lambda: detect_anomaly(self._check_nan))


def is_anomaly_enabled() -> bool:
    """Whether the calling thread is in anomaly mode."""
    return bool(active and thread.mode & ANOMALY)


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN."""
    return thread.anomaly_checks_nan


def _set(mode: bool, check_nan: bool) -> None:
    set_mode(thread.mode | ANOMALY if mode else thread.mode & ~ANOMALY)
    thread.anomaly_checks_nan = check_nan
