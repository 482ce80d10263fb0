"""Checkpoints: parts of a program that backward computes again, so that their values need not be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from .. import saved
from ..modes import SAVED_TENSORS_HOOKS, is_grad_enabled, thread, tidy
from .recomputation import CheckpointError, Frame

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


def noop_context_fn() -> Contexts:
    """Two contexts that do nothing."""
    return nullcontext(), nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Return `function(*args, **kwargs)`, of which backward keeps the arguments alone and computes the rest again.

    `function` must compute the same each time; the default generators of random numbers are set back for it unless
    `preserve_rng_state` is False. `context_fn` returns two contexts, for the forward run and for the others.
    CheckpointError where what is saved differs in number, shape, dtype or device (the latter three not with
    `determinism_check="none"`); with `debug` it lists where each value was saved. `early_stop` ends a
    recomputation with the last value that is needed. NotImplementedError with `use_reentrant=True`; None means False.

    >>> import plugrad as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.utils.checkpoint.checkpoint(lambda x: x.exp().sin().sum(), x, use_reentrant=False).backward()
    >>> torch.allclose(x.grad, x.exp().cos() * x.exp())
    True
    """
    _refuse_reentrant("checkpoint", use_reentrant)
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"checkpoint: determinism_check should be one of ['default', 'none'], but got {determinism_check!r}"
        )
    forward_context, context = context_fn()
    if not is_grad_enabled():
        return function(*args, **kwargs)
    frame = Frame(function, args, kwargs, context, preserve_rng_state)
    frame.checks = determinism_check == "default"
    frame.early_stop = early_stop if _early_stop is None else _early_stop
    frame.places = [] if (debug if _debug is None else _debug) else None
    was, hooks = thread.mode, thread.saved_tensors_hooks
    try:
        saved.push((frame.pack, frame.unpack))
        with forward_context:
            result = function(*args, **kwargs)
            frame.complete()
    finally:
        mode = thread.mode & ~SAVED_TENSORS_HOOKS | was & SAVED_TENSORS_HOOKS
        thread.saved_tensors_hooks, thread.mode = hooks, mode  # in one step: see `modes.tidy`
        tidy()
    if not frame.completed:
        raise RuntimeError(
            "checkpoint: the forward context provided by context_fn suppressed an exception raised during the "
            "checkpointed forward, so there is no value to return: let the exception pass"
        )
    return result


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Run a `Sequential`, or a list of functions, in `segments` parts, each but the last of which is a checkpoint.

    The one keyword argument that it takes beside is `preserve_rng_state`.
    """
    _refuse_reentrant("checkpoint_sequential", use_reentrant)
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError(f"checkpoint_sequential: Unexpected keyword arguments: {','.join(kwargs)}")
    functions = list(functions.children() if hasattr(functions, "children") else functions)
    if not 1 <= segments <= len(functions):
        raise ValueError(
            f"checkpoint_sequential: asked for {segments} segments of {len(functions)} functions: there must be at "
            "least one function in each"
        )

    def run(start: int, end: int, value: Any) -> Any:
        for function in functions[start:end]:
            value = function(value)
        return value

    size = len(functions) // segments
    last = size * (segments - 1)
    for start in range(0, last, size):
        input = checkpoint(run, start, start + size, input, use_reentrant=False, preserve_rng_state=preserve)
    return run(last, len(functions), input)


def _refuse_reentrant(asked: str, use_reentrant: bool | None) -> None:
    if use_reentrant:
        raise NotImplementedError(
            f"{asked}: use_reentrant=True is not supported: pass use_reentrant=False, which gives the same gradients "
            "and has none of its restrictions"
        )


_early_stop: bool | None = None
_debug: bool | None = None


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Checkpoints that are made in here end their recomputations early, or with False do not."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Whether checkpoints that are made in here have `debug`, whatever they say; with None it is theirs to say."""
    global _debug
    before, _debug = _debug, enabled
    try:
        yield
    finally:
        _debug = before
