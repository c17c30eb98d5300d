"""Messages of several threads on one standard output."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout

from singer_sdk.singerlib.messages import RecordMessage

from tapsupport.messages import BlockWriter
from tapsupport.testing import parse_messages


def test_lines_of_several_threads_stay_whole() -> None:
    """Each one stands there once, in one piece, however long it is."""
    writer = BlockWriter()

    def write(thread: int) -> None:
        for number in range(200):
            text = f"{thread}" * (number * 17 % 3000)
            writer.write_message(RecordMessage("s", {"thread": thread, "n": number, "t": text}))
            writer.write_block(b'{"type":"RECORD","stream":"b","record":{}}\n')

    reader, pipe = os.pipe()  # not in memory, where writing never waits
    output = io.TextIOWrapper(os.fdopen(pipe, "wb"), encoding="utf-8")
    with ThreadPoolExecutor(9) as pool, output, redirect_stdout(output):
        read = pool.submit(os.fdopen(reader, "rb").read)
        list(pool.map(write, range(8)))

    result = parse_messages(read.result())
    assert len(result.records("b")) == 1600
    found = {(record["thread"], record["n"]): record["t"] for record in result.records("s")}
    assert len(found) == 1600
    assert all(text == f"{thread}" * (n * 17 % 3000) for (thread, n), text in found.items())
