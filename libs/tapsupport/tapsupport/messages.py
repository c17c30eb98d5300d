"""Singer messages on standard output, one by one or in whole blocks."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from singer_sdk.contrib.msgspec import MsgSpecWriter
from typing_extensions import override

from tapsupport.errors import ReaderGoneError

if TYPE_CHECKING:
    from singer_sdk.singerlib.messages import Message


class BlockWriter(MsgSpecWriter):
    """The SDK's msgspec writer, which also takes lines that are encoded already.

    Several threads may write; what one call writes stands together.
    """

    def __init__(self) -> None:
        super().__init__()
        self._writing = threading.RLock()

    @override
    def write_message(self, message: Message) -> None:
        with self._writing:  # the encoder has one buffer for all messages
            self.write_block(self.format_message(message))

    def write_block(self, lines: bytes | bytearray | memoryview) -> None:
        """Write whole lines, each with its line end, and flush.

        Raises:
            ReaderGoneError: standard output was closed at its other end.
        """
        try:
            with self._writing:
                sys.stdout.buffer.write(lines)
                sys.stdout.buffer.flush()
        except BrokenPipeError as error:
            raise ReaderGoneError(
                "Writing to standard output failed because its reader has ended. "
                "Look at the loader's log for the reason, then run again."
            ) from error
