"""Spans of turns, model calls and tool calls, for whoever sets OpenTelemetry's standard variables; off otherwise.

A span says what was done, how long it took and how it ended: names, ids, counts. Never what anybody said: no prompt, answer,
argument, result or text of an error. Only these spans leave: the provider is our own and not the process's, so that no
library's spans, which may hold such texts, come with them.
"""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.trace import INVALID_SPAN, Span, Status, StatusCode, Tracer

from agents.errors import AgentFailed

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

Value = str | int | float | bool

SERVICE = "dexorder-gateway"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PACKAGE = "opentelemetry.exporter.otlp.proto.http"


class _State:
    """Where the spans of this process go."""

    provider: "TracerProvider | None" = None
    tracer: Tracer | None = None


def wanted() -> bool:
    """Whether the environment asks for spans. Source: OpenTelemetry, "Environment Variable Specification"."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return exporter != "none" and (exporter == "otlp" or any(os.environ.get(name) for name in _ENDPOINTS))


def faults() -> list[str]:
    """Why the spans that are wanted can't be sent."""
    if not wanted():
        return []
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter not in {"", "otlp"}:
        return [f"OTEL_TRACES_EXPORTER {exporter!r} is not supported: otlp or none."]
    if not _installed():
        return ["Traces are wanted (OTEL_…), but not installed: pip install -r requirements-telemetry.txt"]
    return []


def start(exporter: "SpanExporter | None" = None) -> None:
    """Begin to send spans, if the environment asks for them, or to `exporter`."""
    if exporter is None and (not wanted() or faults()):
        return
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional packages
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415

    name = os.environ.get("OTEL_SERVICE_NAME") or SERVICE
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _State.provider, _State.tracer = provider, provider.get_tracer(SERVICE)


def stop() -> None:
    """Send what is left, and no more. Blocks for as long as the collector takes, so call it off the event loop."""
    provider, _State.provider, _State.tracer = _State.provider, None, None
    if provider is not None:
        provider.shutdown()


@contextmanager
def span(name: str, **attributes: Value) -> Iterator[Span]:
    """A span around a block, a child of the one around it; costs nothing while spans are off.

    An exception that leaves the block marks it as failed, with its kind or code alone.
    """
    if _State.tracer is None:
        yield INVALID_SPAN
        return
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    with _State.tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            code = error.code if isinstance(error, AgentFailed) else type(error).__name__
            current.set_attribute("error.type", code)
            current.set_status(Status(StatusCode.ERROR))
            raise


def _installed() -> bool:
    try:
        return importlib.util.find_spec(_PACKAGE) is not None
    except ModuleNotFoundError:
        return False
