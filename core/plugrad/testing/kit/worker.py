"""The process in which checks run, and the handle by which the kit speaks to it: JSON, one message a line.

A crash or a hang of an array library ends this process, not the run: the kit starts another one.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

_START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from plugrad.testing.kit.worker import main; main()"


class WorkerDied(Exception):
    """The process ended, or was ended, in the middle of a check; the text says how, `detail` where."""

    def __init__(self, text: str, detail: str) -> None:
        super().__init__(text)
        self.detail = detail


class Worker:
    """A process with the device under test; it is started by the first message and again after each crash."""

    def __init__(self, settings: dict[str, Any], timeout: float) -> None:
        self.settings, self.timeout = settings, timeout
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, check: str, aspect: str) -> dict[str, Any]:
        """What a check comes to; WorkerDied if the process does not survive it."""
        if self._process is None:
            self._start()
        self._send({"check": check, "aspect": aspect})
        return self._receive()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
            self._errors.close()

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (a pipe that nobody reads would fill)
        self._process = process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_forward, args=(process.stdout, self._replies), daemon=True).start()
        self._send({**self.settings, "timeout": self.timeout})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:  # it has died; `_receive` tells how
            pass

    def _receive(self) -> dict[str, Any]:
        assert self._process is not None
        try:
            line = self._replies.get(timeout=self.timeout)
        except queue.Empty:
            line, how = b"", f"no answer within {self.timeout:g} seconds"
        else:
            how = ""
        if line:
            reply: dict[str, Any] = json.loads(line)
            return reply
        if not how:
            how = _how_it_ended(self._process.wait())
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        detail = self._errors.read().decode(errors="replace")[-4000:]
        self.close()
        raise WorkerDied(how, detail)


def _forward(stream: Any, replies: queue.SimpleQueue[bytes]) -> None:
    for line in stream:
        replies.put(line)
    replies.put(b"")


def _how_it_ended(code: int) -> str:
    if code < 0:
        try:
            return f"the process died of {signal.Signals(-code).name}"
        except ValueError:
            return f"the process died of signal {-code}"
    return f"the process ended with exit status {code}"


def main() -> None:
    """The worker's program: settings first, then a check a line, to which it replies by a line."""
    import faulthandler
    import warnings

    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    faulthandler.enable()
    warnings.simplefilter("ignore")
    settings = json.loads(sys.stdin.readline())

    from .bench import Bench
    from .suite import checks, run

    bench, broken = Bench(settings["device"], settings["tier"], settings["seed"]), None
    try:
        add_plugins(settings["plugins"])
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        broken = {"status": "failed", "reason": f"plugins={settings['plugins']!r}: {text}"}
    for line in sys.stdin:
        request = json.loads(line)
        faulthandler.dump_traceback_later(settings["timeout"] * 0.9)
        reply = broken or run(bench, checks()[request["check"]], request["aspect"])
        faulthandler.cancel_dump_traceback_later()
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def add_plugins(targets: Sequence[str]) -> None:
    """Register the plugins, "module" or "module:name", that no installed distribution brings."""
    from importlib import import_module

    from ... import plugins

    for target in targets:
        module, _, name = target.partition(":")
        plugin: Any = import_module(module)
        for part in name.split(".") if name else ():
            plugin = getattr(plugin, part)
        plugins.register(plugin() if isinstance(plugin, type) else plugin)
