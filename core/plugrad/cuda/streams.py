"""Streams: queues of a GPU that run side by side; events: marks in them.

Every thread has a current stream of each GPU, in which its ops are queued: at first the default stream. What is allocated
in one stream is given out anew in that stream only; who uses an array in another stream as well waits for it
(`wait_stream`) before the array may go.
"""

from __future__ import annotations

from typing import Any

from ..device import device as Device
from .devices import index_of, runtime


class Stream:
    """A queue of a GPU: `with plugrad.cuda.stream(Stream()): ...` queues what is in the block there.

    `device` is the GPU, the current one unless given; a lower `priority` goes first.
    """

    def __init__(self, device: Any = None, priority: int = 0, *, of: Any = None) -> None:
        self.device_index = index_of(device)
        #: The stream of the array library.
        self.raw = runtime().new_stream(self.device_index, priority) if of is None else of

    @property
    def device(self) -> Device:
        """The GPU of this stream."""
        return Device("cuda", self.device_index)

    @property
    def cuda_stream(self) -> int:
        """CUDA's handle, for other libraries; 0 is the default stream."""
        return int(self.raw.ptr)

    def synchronize(self) -> None:
        """Wait until everything in this stream is done."""
        runtime().wait("Stream.synchronize", self.raw)

    def query(self) -> bool:
        """Whether everything in this stream is done."""
        return bool(self.raw.done)

    def record_event(self, event: Event | None = None) -> Event:
        """Put a mark, a new one unless given, into this stream, and return it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what comes later in this stream wait for a mark; the host goes on."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Let what comes later in this stream wait for what is in another one by now; the host goes on."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.device_index, self.cuda_stream) == (
            other.device_index,
            other.cuda_stream,
        )

    def __hash__(self) -> int:
        return hash((self.device_index, self.cuda_stream))

    def __repr__(self) -> str:
        return f"<plugrad.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class Event:
    """A mark in a stream, made at its first `record`; with `enable_timing` the time between two marks can be asked for.

    With `blocking` a host that waits sleeps instead of asking again and again.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        self._options = enable_timing, blocking, interprocess
        self._raw: Any = None

    def record(self, stream: Stream | None = None) -> None:
        """Put this mark into a stream, the current one unless given."""
        stream = current_stream() if stream is None else stream
        if self._raw is None:
            self._raw = runtime().new_event(stream.device_index, *self._options)
        self._raw.record(stream.raw)

    def wait(self, stream: Stream | None = None) -> None:
        """Let what comes later in a stream, the current one unless given, wait for this mark; the host goes on."""
        if self._raw is not None:  # nothing was recorded: nothing to wait for
            (current_stream() if stream is None else stream).raw.wait_event(self._raw)

    def synchronize(self) -> None:
        """Wait until what came before this mark is done."""
        if self._raw is not None:
            runtime().wait("Event.synchronize", self._raw)

    def query(self) -> bool:
        """Whether what came before this mark is done."""
        return self._raw is None or bool(self._raw.done)

    def elapsed_time(self, end_event: Event) -> float:
        """The milliseconds between this mark and a later one, both of `enable_timing` and reached."""
        for event in (self, end_event):
            if not event._options[0]:
                raise RuntimeError("elapsed_time: both events must be made with enable_timing=True")
            if event._raw is None:
                raise RuntimeError("elapsed_time: both events must be recorded first")
        return float(runtime().elapsed(self._raw, end_event._raw))


def current_stream(device: Any = None) -> Stream:
    """The stream in which this thread queues its ops on a GPU."""
    index = index_of(device)
    return Stream(index, of=runtime().current_stream(index))


def default_stream(device: Any = None) -> Stream:
    """The stream that is current unless another one was chosen."""
    index = index_of(device)
    return Stream(index, of=runtime().default_stream(index))


def set_stream(stream: Stream | None) -> None:
    """Make a stream, and its GPU, the current one of this thread; `with plugrad.cuda.stream(...)` does so for a block."""
    if stream is not None:
        runtime().set_device(stream.device_index)
        runtime().use(stream.device_index, stream.raw)


class StreamContext:
    """A block in which a stream, and its GPU, is the current one of this thread; None changes nothing."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            self._device = runtime().current_device()
            self._before = current_stream(self.stream.device_index)
            set_stream(self.stream)

    def __exit__(self, *error: object) -> None:
        if self.stream is not None:
            set_stream(self._before)
            runtime().set_device(self._device)


def stream(stream: Stream | None) -> StreamContext:
    """A block in which a stream, and its GPU, is the current one of this thread; None changes nothing."""
    return StreamContext(stream)
