"""Singer messages from a pipe, decoded by msgspec, and a way to be told to stop."""

from __future__ import annotations

import io
import os
import selectors
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib.encoding.base import GenericSingerReader

from snowflake_loader.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

CHUNK_BYTES = 1024 * 1024
LINES_BETWEEN_PAUSES = 1000  # where the input comes in lines, not in chunks
IDLE_SECONDS = 1.0  # without input, after which what is due is looked after all the same


NO_RECORD = msgspec.Raw()

# What msgspec raises for a text that is no JSON, of another type, not UTF-8, or nested too deeply.
DECODING_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Message(msgspec.Struct, gc=False):
    """A Singer message; a record stays as JSON text until its batch is decoded."""

    type: str
    stream: str | None = None
    record: msgspec.Raw = NO_RECORD
    version: int | None = None
    time_extracted: str | None = None
    schema: dict[str, Any] | None = None
    key_properties: list[str] | None = None
    value: Any = None
    encoding: dict[str, Any] | None = None
    manifest: list[str] | None = None


REQUIRED = {
    "RECORD": ("stream", "record"),
    "SCHEMA": ("stream", "schema"),
    "STATE": (),
    "BATCH": ("stream", "encoding", "manifest"),
    "ACTIVATE_VERSION": ("stream", "version"),
}


class StopSignal:
    """Notices SIGTERM and SIGINT without interrupting what is being done.

    A handler that raised could cut a record in two, so this one only wakes up the reader, which
    then ends the input where it stands.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)

    def install(self) -> None:
        """Take the two signals over; only possible in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._notice)

    def _notice(self, number: int, _: object) -> None:
        self.number = number
        os.write(self._write_end, b"!")


class MessageReader(GenericSingerReader[str]):
    """Reads lines of bytes from a pipe, or of text from an object that has no descriptor."""

    default_input: Any = None

    def __init__(self, stop: StopSignal) -> None:
        super().__init__()
        self.stop = stop
        self.on_pause: Callable[[], None] = lambda: None  # called between two lines, now and then
        self._decoder = msgspec.json.Decoder(Message)
        self._lines = 0
        self._is_cut = False  # the line at hand has no end

    def deserialize_json(self, line: str) -> dict[Any, Any]:
        """Decode one line to a dictionary; the SDK's interface asks for it."""
        return msgspec.json.decode(line, type=dict)

    def process_lines(
        self,
        file_input: IO[str] | None,
        callbacks: dict[str, Callable[[Any], None]],
    ) -> Counter[str]:
        """Call back with each message until the input ends or a signal asks to stop.

        Raises:
            LoadError: a line is not a Singer message.
        """
        counts = dict.fromkeys(REQUIRED, 0)
        for line in self._read(file_input):
            self._lines += 1
            if not line or line.isspace():
                continue
            message = self._decode(line)
            callbacks[message.type](message)
            counts[message.type] += 1
        return Counter(counts)

    def _decode(self, line: bytes) -> Message:
        try:
            message = self._decoder.decode(line)
        except DECODING_ERRORS as error:
            if self._is_cut:
                raise LoadError(
                    f"The input ends in the middle of line {self._lines}: the tap has died. Look "
                    "at its log for the reason, then run again; everything before this line is "
                    "kept if it was committed."
                ) from error
            raise LoadError(
                f"Line {self._lines} of the input is not a Singer message: {error}; it begins "
                f"with {line[:40]!r}. The tap must print messages to standard output and nothing "
                "else; everything before this line is kept if it was committed."
            ) from error
        # Almost every message is a record, so a record in order goes the short way.
        if message.type != "RECORD" or message.stream is None or message.record is NO_RECORD:
            self._check(message)
        return message

    def _check(self, message: Message) -> None:
        required = REQUIRED.get(message.type)
        if required is None:
            raise LoadError(
                f"Line {self._lines} of the input has the unknown message type {message.type}."
            )
        missing = [name for name in required if getattr(message, name) in (None, NO_RECORD)]
        if missing:
            raise LoadError(
                f"Line {self._lines} of the input, a {message.type} message, has no "
                f"{' and no '.join(missing)}; the tap must send it."
            )

    def _read(self, file_input: IO[str] | None) -> Iterator[bytes]:
        if file_input is None:
            return self._read_descriptor(0)
        try:
            descriptor = file_input.fileno()
        except (AttributeError, io.UnsupportedOperation):
            return self._read_lines(file_input)
        return self._read_descriptor(descriptor)

    def _read_lines(self, file_input: IO[str]) -> Iterator[bytes]:
        for number, line in enumerate(file_input):
            if number % LINES_BETWEEN_PAUSES == 0:
                self.on_pause()
            yield line.encode()

    def _read_descriptor(self, descriptor: int) -> Iterator[bytes]:
        rest: list[bytes] = []
        for chunk in self._chunks(descriptor):
            head, newline, tail = chunk.partition(b"\n")
            rest.append(head)
            if not newline:
                continue
            yield b"".join(rest)
            *lines, last = tail.split(b"\n")
            yield from lines
            rest = [last]
        # A signal cuts the input anywhere; a line without its end was not received.
        if self.stop.number is None and any(rest):
            self._is_cut = True
            yield b"".join(rest)

    def _chunks(self, descriptor: int) -> Iterable[bytes]:
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(descriptor, selectors.EVENT_READ)
            except PermissionError:  # A regular file is always ready and cannot be registered.
                while self.stop.number is None and (chunk := os.read(descriptor, CHUNK_BYTES)):
                    yield chunk
                    self.on_pause()
                return
            selector.register(self.stop.read_end, selectors.EVENT_READ)
            while self.stop.number is None:
                ready = {key.fd for key, _ in selector.select(IDLE_SECONDS)}
                self.on_pause()
                if not ready:
                    continue
                if self.stop.read_end in ready:
                    return
                chunk = os.read(descriptor, CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk
