"""The bytes of one object, counted and hashed as they come from the socket.

Source: "oci.md", section 4, Download. The SDK does not notice a body that breaks off, so that
only its size and MD5 tell whether it is whole.
"""

from __future__ import annotations

import base64
import hashlib
import io
from typing import TYPE_CHECKING

from typing_extensions import override

from tapsupport.http import RetriableError

if TYPE_CHECKING:
    import urllib3
    from _typeshed import WriteableBuffer

    from tap_oci.client import ReportFile

CHUNK_BYTES = 256 << 10  # read from the socket at once


class Body(io.RawIOBase):
    """Reads the stored bytes of an object, whatever their Content-Encoding."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, file: ReportFile) -> None:
        super().__init__()
        self._raw = raw
        self._file = file
        self._hash = hashlib.md5(usedforsecurity=False)
        self._size = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self._take(len(view))
        view[: len(data)] = data
        return len(data)

    def check(self) -> None:
        """Read what is left, and compare the whole with what was listed.

        Works after a reader of this file was closed, too, which closes this one only for reading.

        Raises:
            RetriableError: it is not the same.
        """
        while self._take(CHUNK_BYTES):
            pass
        digest = base64.b64encode(self._hash.digest()).decode()
        if (self._size, digest) != (self._file.size, self._file.md5):
            raise RetriableError(
                f"{self._file.name} arrived with {self._size:,} of its {self._file.size:,} bytes, "
                "or other bytes than Oracle's MD5 stands for. Run again later."
            )

    def release(self) -> None:
        """Give the connection back."""
        self._raw.close()

    def _take(self, size: int) -> bytes:
        data = self._raw.read(size, decode_content=False)
        self._hash.update(data)
        self._size += len(data)
        return data
