"""Source: DESIGN.md, section 4: every refusal has one form, and no traceback, SQL, path or secret leaves."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.test import RequestFactory
from rest_framework.request import Request

from agents.errors import AgentFailed, Refused
from channels_app.api.problems import CODE_OF_STATUS, STATUS_OF_CODE, exception_handler
from channels_app.tests.live import error_code, http_of
from provisioning.errors import Cause, WorkspaceFailed

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = [b"", b"{", b"[]", b"null", b'"x"', b'{"content": NaN}', b'{"content": "\\ud800"}', b'{"content": "a\\u0000"}',
           b'{"content": "a", "content": "b"}', b"[" * 20_000, b'{"content": "\xff"}', b'{"content": {"a": 1}}']  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE)
async def test_a_body_that_is_none_is_400(gateway: str, body: bytes) -> None:
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post("/api/v1/turns", content=body, headers={"Content-Type": "application/json"})

    assert error_code(answer, 400) == "invalid"


async def test_another_content_type_is_415(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post("/api/v1/turns", content="content=x", headers={"Content-Type": "text/plain"})

    assert error_code(answer, 415) == "unsupported_media_type"


@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS"])
async def test_another_method_is_405(gateway: str, method: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        assert error_code(await http.request(method, "/api/v1/turns"), 405) == "method_not_allowed"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/me/", "/api/v2/me"]
)
async def test_what_is_not_there_is_404_for_anybody(gateway: str, method: str, path: str) -> None:
    async with http_of(gateway) as http:
        assert error_code(await http.request(method, path), 404) == "not_found"


async def test_a_body_over_the_cap_is_413(gateway: str) -> None:
    async with http_of(gateway, "demo-pro") as http:
        answer = await http.post("/api/v1/turns", json={"content": "x" * (2 * 1024 * 1024)})

    assert error_code(answer, 413) == "too_large"


def _handled(error: Exception) -> Any:
    request = RequestFactory().get("/api/v1/x")
    request.META["REQUEST_ID"] = "r"
    return exception_handler(error, {"request": Request(request)})


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refused("queue_full", "Full.", retry_after_s=7), 429, "queue_full"),
        (Refused("gone", "Gone."), 410, "gone"),
        (Refused("something_new", "New."), 502, "something_new"),
        (OperationalError("secret at 10.0.0.7"), 503, "unavailable"),
        (InterfaceError("connection already closed"), 503, "unavailable"),
        (AgentFailed("provider_unavailable", "Away."), 502, "provider_unavailable"),
        (WorkspaceFailed(Cause.EXITED, detail="/secret/path"), 503, "workspace_failed"),
        (AgentFailed("workspace_failed", "It does not start."), 503, "workspace_failed"),
        (AgentFailed("workspace_unreachable", "It does not answer."), 503, "workspace_unreachable"),
        (Http404("SELECT secret"), 404, "not_found"),
        (RequestDataTooBig("secret"), 413, "too_large"),
    ],
)
def test_what_can_be_foreseen_has_its_status(error: Exception, status: int, code: str) -> None:
    answer = _handled(error)

    assert (answer.status_code, answer.data["error"]["code"]) == (status, code)
    assert "secret" not in str(answer.data)


def test_a_wait_is_told_in_the_header_too() -> None:
    assert _handled(Refused("queue_full", "Full.", retry_after_s=7))["Retry-After"] == "7"


def test_what_nobody_foresaw_is_500_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    answer = _handled(ZeroDivisionError("password=secret"))

    assert answer.status_code == 500
    assert answer.data == {
        "error": {"code": "internal", "message": "Something went wrong on our side.", "request_id": "r"}
    }


def test_every_code_is_told_in_the_protocols_document() -> None:
    told = (Path(settings.BASE_DIR) / "docs" / "protocol.md").read_text(encoding="utf-8")

    assert {code for code in {*STATUS_OF_CODE, *CODE_OF_STATUS.values()} if f"`{code}`" not in told} == set()
