"""Reads Singer messages as a target would, keeping nothing, or all for a later run.

Arguments: a file for the messages, and a folder to which the batch files are moved.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit


def main(messages: str | None = None, folder: str | None = None) -> None:
    """Drain standard input."""
    keep = Path(messages).open("w") if messages else None  # noqa: SIM115 - open to the end
    for line in sys.stdin:
        text = line
        if line.startswith(('{"type":"BATCH"', '{"type": "BATCH"')):
            text = json.dumps(_taken(json.loads(line), folder)) + "\n"
        if keep:
            keep.write(text)


def _taken(message: dict[str, list[str]], folder: str | None) -> dict[str, list[str]]:
    """The message after its files were moved to the folder, or deleted."""
    moved = []
    for uri in message["manifest"]:
        path = Path(unquote(urlsplit(uri).path))
        if folder is None:
            path.unlink()
            continue
        Path(folder).mkdir(exist_ok=True)
        moved.append(Path(shutil.move(path, folder)).absolute().as_uri())
    return message | {"manifest": moved}


if __name__ == "__main__":
    main(*sys.argv[1:])
