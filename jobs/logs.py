"""How every process logs: one JSON object a line on standard output, with its context, never a secret."""

import asyncio
import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

SECRET_FIELDS = re.compile(r"password|secret|token|authorization|cookie|api_key$|^key$", re.IGNORECASE)
_EMAIL = re.compile(r"([^\s@\"'<(=])[^\s@\"'<(=]*@([^\s@\"'>)]+)")
_DETAIL = re.compile(r"^(DETAIL|HINT):.*$", re.MULTILINE)

request_context: ContextVar[Mapping[str, str]] = ContextVar("request_context", default=MappingProxyType({}))
"""What every log line of the present request carries; one variable, because it is set for every request."""


def configure(level: str) -> None:
    """Set the logging of this process up, once; `level` is debug, info, warning or error."""
    number = logging.getLevelNamesMapping()[level.upper()]
    steps: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_request,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _without_secrets,
        _with_stack,
    ]
    structlog.configure(
        processors=[*steps, structlog.processors.JSONRenderer(serializer=_line)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _Output(),
        cache_logger_on_first_use=True,
    )
    _adopt_libraries(steps, number)


def is_written(level: str) -> bool:
    """Whether lines of this level are written at all."""
    return bool(structlog.get_logger().is_enabled_for(logging.getLevelNamesMapping()[level.upper()]))


def _adopt_libraries(steps: list[Processor], level: int) -> None:
    """What libraries log through the standard module takes the same form; below a warning it is their own business."""
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_line),
            ],
            foreign_pre_chain=steps,
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _with_request(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for name, value in request_context.get().items():
        event.setdefault(name, value)
    return event


def _without_secrets(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if SECRET_FIELDS.search(name):
            event[name] = "…"
        elif isinstance(value, str) and "@" in value:
            event[name] = _EMAIL.sub(r"\1…@\2", value)
    return event


def _with_stack(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """The stack of `exc_info`, without what Postgres says about values and with e-mail addresses shortened."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        text = "".join(traceback.format_exception(error))
        event["stack"] = _EMAIL.sub(r"\1…@\2", _DETAIL.sub("", text))
    return event


class SoonWriter:
    """Collects lines and writes them at the end of the event loop's turn: one system call for many requests."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def write(self, line: str) -> None:
        """Take one finished line; needs a running event loop."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._flush)
        self._lines.append(line)

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        _Output().msg("\n".join(lines))


class _Output:
    """Writes finished lines to whatever standard output is now."""

    def msg(self, line: str) -> None:
        """Write one line and push it out, so that nothing is lost with the process."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    debug = info = warning = error = critical = msg


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _Output().msg(self.format(record))


def _line(event: EventDict, **_: Any) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)
