"""How a tap behaves as a process: signals, exit codes, errors as sentences."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from typing_extensions import override

from tapsupport.errors import ReaderGoneError, TapError
from tapsupport.json_option import JsonFile, explaining
from tapsupport.messages import BlockWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

    import click
    from singer_sdk.plugin_base import _ConfigInput

SIGNAL_EXIT_BASE = 128  # a shell's exit code for "ended by signal n" is 128 + n


class ManneredTap(Tap):
    """A tap that ends where it says so and shows an operator's error as one sentence.

    SIGTERM and SIGINT only leave a note; streams call `stop_if_asked` between two batches, where
    every line is whole and the last STATE covers what was sent. The SDK's own handler writes a
    STATE from wherever the tap happens to be, in the middle of a line too, and exits with 0, which
    a scheduler takes for success.
    """

    message_writer_class = BlockWriter
    message_writer: BlockWriter

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the SDK's keywords, passed on
        self._signal: int | None = None
        super().__init__(**kwargs)

    def stop_if_asked(self) -> None:
        """End the process when a signal asked for it.

        Raises:
            SystemExit: with 128 + the signal's number.
        """
        if self._signal is None:
            return
        name = signal.Signals(self._signal).name
        self.logger.warning("Stopped by %s. The last STATE covers what it is safe to keep.", name)
        raise SystemExit(SIGNAL_EXIT_BASE + self._signal)

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        self._read_numbers()
        self._refuse_half_a_batch_config()
        try:
            errors = super()._validate_config(raise_errors=raise_errors)
        except ConfigValidationError as error:
            error.errors = self._without_secrets(error.errors)
            raise
        return self._without_secrets(errors)

    def _read_numbers(self) -> None:
        """Take text for a number: Meltano has no kind of setting for a fraction that works.

        Its `decimal` fails for every value that comes from an environment variable.
        """
        for name, schema in self.config_jsonschema["properties"].items():
            value = self._config.get(name)
            if isinstance(value, str) and "number" in schema.get("type", ()):
                with suppress(ValueError):  # what is no number, the SDK refuses
                    self._config[name] = float(value)

    def _refuse_half_a_batch_config(self) -> None:
        """The SDK's schema lets each part be left out, and its code needs them."""
        given = self._config.get("batch_config")
        if not given or not isinstance(given, dict):
            return  # what is of another type, the SDK refuses
        for part, name in (("encoding", "format"), ("storage", "root")):
            inner = given.get(part)
            if not (isinstance(inner, dict) and inner.get(name)):
                raise TapError(
                    f"The setting batch_config has no {part}.{name}. Set it, or leave batch_config "
                    "out to get RECORD messages."
                )

    def _without_secrets(self, errors: list[str]) -> list[str]:
        """The SDK quotes the value that is wrong; a secret one must not reach the log."""
        properties = self.config_jsonschema["properties"]
        secrets = [name for name, schema in properties.items() if schema.get("secret")]
        hidden = {f" in config['{name}']": f"The setting {name} is not valid" for name in secrets}
        return [
            next((text for end, text in hidden.items() if error.endswith(end)), error)
            for error in errors
        ]

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        if self._signal is not None:  # asked twice: do not wait for the next batch
            raise SystemExit(SIGNAL_EXIT_BASE + signum)
        self._signal = signum

    @classmethod
    @override
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        merged = super().cb_config(ctx, param, ())
        for path in value:
            with explaining(path, param, ctx):
                found = super().cb_config(ctx, param, (path,))
            merged.config |= found.config
            merged.parse_env |= found.parse_env
        return merged

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        command = super().get_singer_command()
        for option in command.params:
            if option.name in {"catalog", "state"}:
                option.type = JsonFile()
        with_traceback = command.excepthook  # type: ignore[attr-defined]  # SingerCommand has it

        def hook(
            kind: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            if isinstance(error, ConfigValidationError):
                for problem in error.errors:
                    cls.logger.error("%s", problem)
                return
            if not issubclass(kind, TapError):
                with_traceback(kind, error, trace)
                return
            if issubclass(kind, ReaderGoneError):
                # Else the last flush of what is buffered fails too, and changes the exit code.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            cls.logger.error("%s", error)
            cls.logger.log(logging.DEBUG, "Where it was raised:", exc_info=(kind, error, trace))

        make_context = command.make_context

        def make_context_with_hook(*args: Any, **options: Any) -> click.Context:  # noqa: ANN401 - click's own
            """--discover and --test run here already, where the SDK has set no hook yet."""
            sys.excepthook = hook
            return make_context(*args, **options)

        command.excepthook = hook  # type: ignore[attr-defined]  # as above
        command.make_context = make_context_with_hook  # type: ignore[method-assign]  # as above
        return command


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `interrupt`, from a thread of its own, as soon as a signal arrives.

    Python runs signal handlers between two steps of Python code only. A body that waits in a C
    library, say for a lock in a database, is reached by this: `interrupt` makes the library return.
    Outside of the main thread, where Python handles no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, python = socket.socketpair()
    python.settimeout(0)

    def wait_for_signal() -> None:
        if ours.recv(1):  # nothing when the other end was closed
            interrupt()

    watcher = threading.Thread(target=wait_for_signal, name="signals", daemon=True)
    watcher.start()
    previous = signal.set_wakeup_fd(python.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        python.close()
        watcher.join()
        ours.close()
