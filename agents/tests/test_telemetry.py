"""Spans: off unless the standard variables are set, and never a word of what was said in them.

Source: OpenTelemetry, "Environment Variable Specification".
"""

import json
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from accounts.licences import Licence
from agents import telemetry
from agents.checks import check_telemetry
from agents.errors import AgentFailed
from agents.tests.engine import TestWorker, frames, say
from agents.tests.workflows import RealBrain, run_one

OTEL = (
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    telemetry.start(exporter)
    yield exporter
    telemetry.stop()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OTEL:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.django_db(transaction=True)
async def test_a_turn_has_a_span_with_its_model_and_tool_calls_in_it(
    mine: Licence, spans: InMemorySpanExporter
) -> None:
    worker = await TestWorker(RealBrain()).begin()
    accepted = await say("RSI of SPX over the last 252 bars?")
    await run_one(worker)
    assert (await frames(accepted.turn))[-1]["type"] == "done"

    found = spans.get_finished_spans()
    assert [each.name for each in found] == ["chat", "execute_tool", "chat", "turn"]
    turn = found[-1]
    assert turn.attributes is not None
    assert turn.attributes["turn.id"] == accepted.turn
    assert turn.attributes["turn.state"] == "done"
    assert {each.context.trace_id for each in found} == {turn.context.trace_id}
    assert all(each.parent and each.parent.span_id == turn.context.span_id for each in found[:-1])
    tool = found[1]
    assert tool.attributes is not None
    assert tool.attributes["gen_ai.tool.name"] == "compute_indicators"


@pytest.mark.django_db(transaction=True)
async def test_no_span_holds_what_was_said_or_found(mine: Licence, spans: InMemorySpanExporter) -> None:
    worker = await TestWorker(RealBrain()).begin()
    await say("Remember that my canary is called Xanthippe")
    await run_one(worker)
    await say("RSI of XANTHIPPE over the last 252 bars?")
    await run_one(worker)

    told = json.dumps([json.loads(each.to_json()) for each in spans.get_finished_spans()])
    assert "xanthippe" not in told.lower()
    assert "demo-pro" not in told


def test_a_span_that_fails_says_how_and_not_what(spans: InMemorySpanExporter) -> None:
    for error in (AgentFailed("provider_unavailable", "the secret words"), ValueError("the secret words")):
        with pytest.raises(type(error)), telemetry.span("turn"):
            raise error

    found = spans.get_finished_spans()
    assert [(each.attributes or {})["error.type"] for each in found] == ["provider_unavailable", "ValueError"]
    assert not any(each.events for each in found)
    assert "secret" not in "".join(each.to_json() for each in found)


def test_without_the_variables_nothing_is_started() -> None:
    telemetry.start()

    with telemetry.span("turn") as current:
        assert not current.is_recording()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
    ],
)
def test_the_standard_variables_decide(
    environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert telemetry.wanted() is wanted
    assert check_telemetry() == []


def test_an_exporter_that_there_is_not_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")

    [fault] = check_telemetry()
    assert "zipkin" in fault.msg
