"""Trying devices: the backend imported, a tensor made, a gradient taken, each in a process of its own.

A driver that crashes or hangs takes only its own process with it, and the processes run side by side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

TIMEOUT = 120
"""Seconds after which a device counts as hanging; a library that compiles may be slow at its first start."""

#: The other process finds modules where this one does.
PROGRAM = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from plugrad.cli.probe import answer; answer()"
)


def ask(question: str, devices: Sequence[str], here: Container[str] = ()) -> list[dict[str, Any]]:
    """What `probe` or `kernels`, the question, answers for each device; those in ``here`` are asked in this process.

    That is for the plugins that only this process knows. An answer has at least ``device`` and ``cause``.
    """
    from concurrent.futures import ThreadPoolExecutor

    alone = [device for device in devices if device not in here]
    with ThreadPoolExecutor(max(1, min(len(alone), os.cpu_count() or 1))) as pool:
        answers = dict(zip(alone, pool.map(partial(_ask_alone, question), alone), strict=True))
    return [answers[device] if device in answers else QUESTIONS[question](device) for device in devices]


def probe(device: str) -> dict[str, Any]:
    """Try a device step by step; ``cause`` tells what stopped it, and is None where everything worked.

    >>> probe("cpu")["cause"] is None
    True
    """
    import plugrad

    found: dict[str, Any] = {"device": device, "cause": None}
    with _caught(found):
        start = time.perf_counter()
        backend = plugrad.device(device).backend
        found["import_seconds"] = time.perf_counter() - start
        cls = type(backend)
        found["class"] = f"{cls.__module__}:{cls.__qualname__}"
        found["array_type"] = f"{backend.array_type.__module__}:{backend.array_type.__qualname__}"
        found["dtypes"] = sorted(str(dtype).removeprefix("torch.") for dtype in backend.dtypes)
        found["capabilities"] = backend.capabilities()
        found["members"] = cls.devices()
        start = time.perf_counter()
        x = plugrad.tensor([1.0, 2.0, 3.0], device=device, requires_grad=True)
        (x * x).sum().backward()
        grad = x.grad.tolist()
        found["gradient_seconds"] = time.perf_counter() - start
        if grad != [2.0, 4.0, 6.0]:
            found["cause"] = f"the gradient of (x * x).sum() at [1, 2, 3] is {grad} instead of [2, 4, 6]"
    return found


def kernels(device: str) -> dict[str, Any]:
    """Where the kernel of each op comes from on a device: "native", "plugin", "composite", "host" or "absent".

    >>> kernels("cpu")["ops"]["exp"]
    {'kind': 'elementwise', 'differentiable': ['x'], 'cause': None, 'origin': 'native'}
    """
    import plugrad

    from ..errors import DeviceError, PluginError
    from ..kernels import origin

    found: dict[str, Any] = {"device": device, "cause": None, "ops": {}}
    with _caught(found):
        backend = plugrad.device(device).backend
        for name, op in all_ops():
            entry = describe_op(op)
            try:
                entry["origin"] = origin(op, backend)
            except (DeviceError, PluginError):  # nobody has one, or the plugin that should has not
                entry["origin"] = "absent"
            found["ops"][name] = entry if entry["cause"] is None else entry | {"origin": "absent"}
    return found


def all_ops() -> Iterator[tuple[str, Any]]:
    """Every op by name, those of plugins too; in the place of one that cannot be loaded the reason, an exception."""
    import plugrad

    from ..op import OPS
    from ..plugins import installed

    yield from [(name, op) for name, op in OPS.items() if "::" not in name]
    for name in sorted({spec.name for spec in installed().op_specs(all=True)}):
        library, _, op = name.partition("::")
        try:
            yield name, getattr(getattr(plugrad.ops, library), op)
        except (Exception, SystemExit) as error:
            yield name, error


def describe_op(op: Any) -> dict[str, Any]:
    """What an op is, as JSON; ``cause`` tells why it cannot be loaded."""
    is_broken = isinstance(op, BaseException)
    return {
        "kind": None if is_broken else getattr(op, "kind", "composite"),
        "differentiable": list(getattr(op, "differentiable", ())),
        "cause": str(op) if is_broken else None,
    }


QUESTIONS = {"probe": probe, "kernels": kernels}


@contextmanager
def _caught(found: dict[str, Any]) -> Iterator[None]:
    """What is raised becomes the cause."""
    from ..errors import DeviceError, NoDeviceError
    from ..plugins.loader import describe

    try:
        yield
    except DeviceError as error:  # its text is meant for users
        found["cause"], found["no_device"] = str(error), isinstance(error, NoDeviceError)
    except (Exception, SystemExit) as error:
        found["cause"] = describe(error)


def answer() -> None:
    """Write the answer to the question in `sys.argv` to the standard output, and nothing else."""
    out = os.dup(1)
    os.environ.pop("PLUGRAD_STRICT_PLUGINS", None)  # one plugin's failure says nothing of another's device
    os.dup2(2, 1)  # what libraries print, from C too, goes to the standard error
    found = QUESTIONS[sys.argv[2]](sys.argv[3])
    with os.fdopen(out, "w") as stream:
        json.dump(found, stream)
        stream.flush()
    os._exit(0)  # the answer is out: a library that crashes or waits while it is torn down changes nothing


def _ask_alone(question: str, device: str) -> dict[str, Any]:
    command = [sys.executable, "-c", PROGRAM, json.dumps(sys.path), question, device]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        cause = f"it did not answer within {TIMEOUT} seconds"
    except ValueError:  # no JSON
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        cause = f"its process {_end(done.returncode)}{f': {lines[-1]}' if lines else ''}"
    return {"device": device, "cause": cause}


def _end(code: int) -> str:
    """How a process ended: a negative exit code is the signal that killed it."""
    if code >= 0:
        return f"ended with exit code {code}"
    import signal

    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
