"""How the loader's tests run it: the class in this process, or the command in its own."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from snowflake_loader.target import TargetSnowflake
from snowflake_loader.testing import COMMAND, Finished, Load, Messages, Run, lines

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.testing import Warehouse


@pytest.fixture
def load(warehouse: Warehouse, tmp_path: Path) -> Load:
    """Load messages with the target's class; returns the states it wrote, raises its errors."""

    def run(messages: Messages, **config: Any) -> list[Any]:
        target = TargetSnowflake(
            config={**warehouse.config, "work_directory": str(tmp_path), **config}
        )
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            try:
                target.listen(io.StringIO(lines(messages)))
            except BaseException:
                target.abandon()
                raise
        return [json.loads(line) for line in output.getvalue().splitlines()]

    return run


@pytest.fixture
def run_command(warehouse: Warehouse, tmp_path: Path) -> Run:
    """Run the real command with a text (or messages) on its standard input."""

    def run(
        text: str | Messages, *, limit_file_bytes: int | None = None, **config: Any
    ) -> Finished:
        def limit() -> None:
            if limit_file_bytes is not None:
                # With SIGXFSZ ignored, a write beyond the limit fails as on a full disk.
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_file_bytes, limit_file_bytes))

        path = tmp_path / "config.json"
        merged = {**warehouse.config, "work_directory": str(tmp_path / "work"), **config}
        path.write_text(json.dumps({k: v for k, v in merged.items() if v is not None}))
        done = subprocess.run(
            [str(COMMAND), "--config", str(path)],
            input=text if isinstance(text, str) else lines(text),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            preexec_fn=limit,
        )
        states = [json.loads(line) for line in done.stdout.splitlines()]
        return Finished(done.returncode, states, done.stderr)

    return run
