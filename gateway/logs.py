"""Structured logs: one event a line, with the request and turn it belongs to, and no secret in it."""

import logging
import logging.config
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

REDACTED = "[redacted]"
# Telegram's token stands in every Bot API URL (/bot<id>:<secret>/…); JWTs are three base64url parts; URLs may carry a password.
_SECRET_SHAPES = re.compile(
    r"bot\d+:[A-Za-z0-9_-]{20,}"
    r"|\b\d{6,}:[A-Za-z0-9_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|\b(?:sk|xox[abps])-[A-Za-z0-9_-]{8,}"
    r"|\bAIza[A-Za-z0-9_-]{30,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    # PostgreSQL quotes the values of a row there, which may be a user's words.
    r"|(?<=^DETAIL:  ).*"
    r"|(?<=^CONTEXT:  ).*",
    re.MULTILINE,
)
_SECRET_KEYS = re.compile(r"(?i)(token|secret|password|api_?key|authorization|cookie|ticket$)")
# Counts of model tokens are no secrets.
_COUNTS = re.compile(r"_tokens$|^tokens(_per_|$)")

# These print at INFO or DEBUG what no log may hold: URLs (a bot's holds its token), PKCE verifiers, the parameters of SQL
# (session keys, users' words), whole requests to models.
TOO_TALKATIVE = (
    "anthropic",
    "authlib",
    "django.db.backends",
    "google_genai",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "mcp",
    "openai",
    "uvicorn.error",
)


def configure(*, debug: bool, level: str) -> None:
    """Send every log of the process to standard error: for people when `debug`, as JSON lines otherwise."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = _console() if debug else structlog.processors.JSONRenderer()
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Before `redact`: the message of an exception may hold a URL.
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        "foreign_pre_chain": _shared(),
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"structured": formatter},
            "filters": {"refusals": {"()": _Refusals}},
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "structured", "filters": ["refusals"]}
            },
            "root": {"handlers": ["stderr"], "level": level.upper()},
            "loggers": {name: {"level": "WARNING"} for name in TOO_TALKATIVE},
        }
    )


class _Refusals(logging.Filter):
    """Leave out what uvicorn 0.54 calls an error when an upgrade was answered over HTTP, as ASGI's extension allows."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to keep the record."""
        return record.msg != "ASGI callable returned without completing handshake."


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what looks like a secret, by its key or by its shape, in an event's values."""
    for key, value in event.items():
        if _is_secret(key):
            event[key] = REDACTED
        elif isinstance(value, str):
            event[key] = _SECRET_SHAPES.sub(REDACTED, value)
    return event


def without_secrets(value: Any) -> Any:
    """JSON without what looks like a secret, by its key or by its shape; `value` itself stays as it is."""
    if isinstance(value, str):
        return _SECRET_SHAPES.sub(REDACTED, value)
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {key: REDACTED if _is_secret(key) else without_secrets(item) for key, item in value.items()}
    return value


def _is_secret(key: str) -> bool:
    return bool(_SECRET_KEYS.search(key)) and not _COUNTS.search(key)


def _console() -> structlog.dev.ConsoleRenderer:
    # The default prints the local variables of each frame, which may hold what `redact` never sees.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
