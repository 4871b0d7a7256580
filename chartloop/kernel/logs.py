"""Logs: a sentence for people and a stable `action` for machines; columns at a terminal, JSON elsewhere."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from chartloop.kernel import clock, tracing
from chartloop.kernel.settings_sections import LogSettings

_SENSITIVE = frozenset(
    ["address", "authorization", "authorization_code", "birthdate", "body", "client_assertion", "client_secret", "code_verifier", "content", "cookie", "div", "document", "dob", "email", "family", "given", "message_body", "mrn", "name", "narrative", "note", "password", "patient", "patient_name", "phone", "query", "raw", "refresh_token", "resource", "secret", "set_cookie", "ssn", "telecom", "text", "token", "access_token", "url"]
)
MASK = "[masked]"


def mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values whose key says that they may hold patient data or a secret, however deep they lie."""
    for key, value in event.items():
        event[key] = _masked(key, value)
    return event


def _masked(key: str, value: object) -> object:
    if key.lower().replace("-", "_") in _SENSITIVE:
        return MASK
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), each) for inner, each in value.items()}
    return value


def _stamp(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["time"] = clock.iso(clock.now_us())
    return event


def _traced(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say in which trace it happened."""
    context = tracing.here()
    if context is not None:
        event["trace_id"], event["span_id"] = context.trace, context.span
    return event


def _without_text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep of an exception its type and where it was raised: its text may quote what it choked on."""
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else sys.exc_info()[1] if info is True else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        if frame is not None:
            event["at"] = f"{frame.tb_frame.f_globals.get('__name__', '?')}:{frame.tb_lineno}"
    return event


def configure_logs(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send our own and other libraries' logs through the same processors."""
    out = stream or sys.stderr
    console = settings.format == "console" or (settings.format == "auto" and out.isatty())
    first: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _stamp,
        _traced,
        _without_text,
        mask,
    ]
    last = structlog.dev.ConsoleRenderer(colors=out.isatty()) if console else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level)
    for chatty in ("httpx", "httpcore", "alembic"):  # a line for every call to a payer; what matters of them our own code says
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*(each for each in first if not isinstance(each, structlog.stdlib.ExtraAdder)), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level]),
        cache_logger_on_first_use=False,
    )
