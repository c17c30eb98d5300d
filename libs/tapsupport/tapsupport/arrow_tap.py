"""A tap whose rows stay columns: into Parquet files, or into records a batch at a time."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tapsupport.errors import TapError
from tapsupport.pending import RunDirectory
from tapsupport.process import ManneredTap

if TYPE_CHECKING:
    from singer_sdk import Stream


class ArrowTap(ManneredTap):
    """A tap with the settings `batch_config` and `max_pending_files`, and a state of its own.

    Attributes:
        state_lock: Held while the state changes or is sent; streams may run in several threads.
    """

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the SDK's keywords, passed on
        self.state_lock = threading.RLock()
        super().__init__(**kwargs)

    @cached_property
    def run_directory(self) -> RunDirectory:
        """Where this run's batch files are."""
        return RunDirectory(self.batch_root, self.name, self.config["max_pending_files"])

    @property
    def batch_root(self) -> Path:
        """The folder that `batch_config` names, by path or URL."""
        root = str(self.config["batch_config"]["storage"]["root"])
        return Path(unquote(urlsplit(root).path) if root.startswith("file://") else root)

    def write_stream_state(self, stream: Stream, progress: dict[str, Any]) -> None:
        """Make `progress` the stream's state, and send STATE."""
        with self.state_lock:
            state = stream.stream_state
            state.clear()
            state.update(progress)
            self.state_writer.write_state(self.state)

    def refuse_unsupported_settings(self) -> None:
        """Refuse what a tap cannot do that handles columns.

        Raises:
            TapError: stream maps, flattening, batch files of another format or elsewhere.
        """
        if self.config.get("stream_maps") or self.config.get("flattening_enabled"):
            raise TapError(
                f"{self.name} has no stream_maps and no flattening: rows never pass through "
                "Python. Select columns in the catalog, or put a Singer mapper behind the tap."
            )
        batch_config = self.config.get("batch_config")
        if batch_config and batch_config["encoding"]["format"] != "parquet":
            raise TapError(
                f"batch_config asks for {batch_config['encoding']['format']} files, but "
                f"{self.name} writes parquet. Set encoding.format to parquet, or leave "
                "batch_config out to get RECORD messages."
            )
        root = batch_config["storage"]["root"] if batch_config else ""
        if "://" in root and not root.startswith("file://"):
            raise TapError(
                f"batch_config's root is {root}, but {self.name} writes batch files to a local "
                "directory. Set storage.root to one."
            )
