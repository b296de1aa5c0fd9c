"""Requests that the API's description allows, and some that it does not: every answer is one that it declares."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.routing import get_default_application
from django.db import connections
from hypothesis import HealthCheck, Phase, settings

from agents.conversations import create_conversation
from agents.tests.engine import say
from agents.turns import cancel_turn
from channels_app.api.openapi import document
from channels_app.tests.live import serving, token_of
from gateway.db import close_pool

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = document()
OPERATIONS = [f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods]
each_operation = pytest.mark.parametrize("operation", OPERATIONS)
# Declared, and no fault of ours: what is not built yet, and workspaces that can't be reached.
DECLARED_5XX = {501, 503}
PATIENCE_S = 10
# Ours is stricter (declared ones only); and JSON is read more strictly than a schema can say: see strict_json.py.
LEFT_OUT = ["not_a_server_error", "positive_data_acceptance"]
# What a client acts on, where it is sent at all.
TOLD_HEADERS = {"ratelimit", "ratelimit-policy", "retry-after", "x-request-id", "www-authenticate"}
REASONS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


@dataclass(frozen=True)
class Api:
    """The API behind a real server, its user's token and objects."""

    url: str
    token: str
    objects: dict[str, str]
    session: Any


@contextmanager
def _in_a_thread() -> Iterator[str]:
    """Serve the gateway on an event loop of its own; yields `127.0.0.1:<port>`."""
    host: Future[str] = Future()
    stopping = threading.Event()

    async def serve() -> None:
        async with serving(get_default_application()) as address:
            host.set_result(address)
            await asyncio.to_thread(stopping.wait)
        await close_pool()
        await sync_to_async(connections.close_all)()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield host.result(PATIENCE_S)
    finally:
        stopping.set()
        thread.join()


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """One client for all: to make one and its connection takes a request as long as the answer. It keeps no cookie."""
    from schemathesis.transport.requests import ManagedCookiesSession

    with ManagedCookiesSession() as session:
        session.trust_env = False
        session.headers.clear()
        yield session


@pytest.fixture
def api(session: Any, licensed: dict[str, str], data_dir: Any, settings: Any) -> Iterator[Api]:
    settings.DEBUG = True
    turn = async_to_sync(say)("Hello").turn
    async_to_sync(cancel_turn)(turn, user_id="demo-pro")
    objects = {"turn": turn, "conversation": async_to_sync(create_conversation)("demo-pro").id}
    with _in_a_thread() as host:
        yield Api(f"http://{host}", async_to_sync(token_of)("demo-pro"), objects, session)


def _hold(api: Api, case: Any) -> None:
    """The case as it is, and with objects that are there."""
    from schemathesis.checks import CHECKS

    for values in ({}, api.objects):
        case.path_parameters = {name: values.get(name, value) for name, value in (case.path_parameters or {}).items()}
        headers = {"Authorization": f"Bearer {api.token}"}
        answer = case.call(base_url=api.url, session=api.session, headers=headers)
        assert answer.status_code < 500 or answer.status_code in DECLARED_5XX, answer.text
        left_out = [CHECKS.get_one(name) for name in LEFT_OUT]
        case.validate_response(answer, excluded_checks=left_out, headers=headers)
        declared = case.operation.definition.raw["responses"].get(str(answer.status_code), {"headers": TOLD_HEADERS})
        assert {name.lower() for name in answer.headers} & TOLD_HEADERS <= {
            name.lower() for name in declared["headers"]
        }
        if not case.path_parameters:
            return


# Schemathesis's own `parametrize` makes every operation's cases, which takes seconds, and importing it takes another, in each
# process that collects tests and also for tests that are not run: here a test makes those of its operation. What
# `parametrize` calls is called.
@cache
def _operations() -> dict[str, Any]:
    import schemathesis

    found: list[Any] = list(schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())
    return {each.ok().label: each.ok() for each in found}


def test_every_operation_is_held_to_the_description() -> None:
    assert list(_operations()) == OPERATIONS


def _hold_all(api: Api, operation: str, examples: settings) -> None:
    """Every case of the operation, named as in `POST /api/v1/turns`."""
    from schemathesis.checks import load_all_checks
    from schemathesis.generation.feedback import FeedbackSources
    from schemathesis.pytest._test_builder import build_operation_test

    held = []

    def hold(case: Any) -> None:
        _hold(api, case)
        held.append(case)

    load_all_checks()
    test = build_operation_test(
        config=_operations()[operation].schema.config,
        operation=_operations()[operation],
        test_func=examples(hold),
        given_kwargs={},
        feedback=FeedbackSources(),
    )
    test()
    assert held


@each_operation
def test_every_answer_is_a_declared_one(operation: str, api: Api) -> None:
    """Every bound of the description, on either side. Random ones, which take twice as long to make, are `make soak`'s."""
    _hold_all(api, operation, settings(phases=[Phase.explicit], deadline=None, suppress_health_check=REASONS))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@each_operation
def test_every_answer_is_a_declared_one_at_length(operation: str, api: Api) -> None:
    _hold_all(api, operation, settings(max_examples=1000, deadline=None, suppress_health_check=REASONS))
