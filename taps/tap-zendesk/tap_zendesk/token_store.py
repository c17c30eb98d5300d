"""Where the pair of OAuth tokens is kept between runs: a file, or a command of the operator's."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Tokens:
    """A pair of tokens; `renew_at` is in seconds since the epoch."""

    access_token: str
    refresh_token: str | None
    renew_at: float


class TokenStore(Protocol):
    """Keeps the pair. A refresh kills the old pair, so a new one is saved before it is used."""

    def load(self) -> Tokens | None: ...

    def save(self, tokens: Tokens) -> None: ...

    def locked(self) -> Any: ...  # noqa: ANN401 - a context manager


class FileStore:
    """A JSON file that only its owner may read, replaced as a whole; empty before the first pair.

    It must exist: in a place that does not outlive the run, such as a pod's own disk, it never
    does, so that no refresh token is spent there whose successor would be lost.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def load(self) -> Tokens | None:
        """The pair; None before the first refresh."""
        text = self._read()
        return _tokens(text, f"token_file {self._path}") if text.strip() else None

    def save(self, tokens: Tokens) -> None:
        self._replace(json.dumps(asdict(tokens)))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one run at a time refreshes; shows at once what cannot be read or written."""
        try:
            lock = self._path.with_name(f".{self._path.name}.lock").open("w", encoding="utf-8")
        except OSError as error:
            raise self._failed("Locking", error) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._replace(self._read())
            yield

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except OSError as error:
            raise self._failed("Reading", error) from error

    def _replace(self, text: str) -> None:
        try:
            new = self._path.with_name(f".{self._path.name}.new")
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            new.replace(self._path)
        except OSError as error:
            raise self._failed("Writing", error) from error

    def _failed(self, doing: str, error: OSError) -> TapError:
        return TapError(
            f"{doing} token_file {self._path} failed: {error.strerror}. Make it once, empty, in a "
            "folder that this run may write to and that outlives it; a pod's own disk does not: "
            "use token_command, client credentials or access_token there."
        )


class CommandStore:
    """A command of the operator's: `<command> load` prints the pair, `<command> save` reads it."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)

    def load(self) -> Tokens | None:
        """The pair; None when the command prints nothing."""
        printed = self._run("load", None)
        return _tokens(printed, "token_command load") if printed.strip() else None

    def save(self, tokens: Tokens) -> None:
        self._run("save", json.dumps(asdict(tokens)))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing: the command locks what it keeps, if it must."""
        yield

    def _run(self, action: str, text: str | None) -> str:
        try:
            done = subprocess.run(
                [*self._command, action],
                input=text or "",
                capture_output=True,
                text=True,
                check=True,
                timeout=COMMAND_SECONDS,
            )
        except (OSError, subprocess.SubprocessError) as error:
            code = getattr(error, "returncode", None)
            found = type(error).__name__ if code is None else f"exit code {code}"
            # Neither the command line nor what it printed: both may hold secrets.
            raise TapError(
                f"The command of token_command failed to {action} the OAuth tokens ({found}). "
                f"Run it by hand with the word {action}."
            ) from None
        return done.stdout


def _tokens(text: str, source: str) -> Tokens:
    try:
        found = json.loads(text)
        return Tokens(
            str(found["access_token"]), found["refresh_token"], float(found.get("renew_at", 0))
        )
    except (ValueError, TypeError, KeyError):
        raise TapError(
            f"What {source} holds is not a pair of OAuth tokens. It must be a JSON object with "
            "access_token and refresh_token; make a new pair in Zendesk if this one is lost."
        ) from None
