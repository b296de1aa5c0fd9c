"""Servers that staff set in place of a workspace: only allowed ones get the user's tokens (DESIGN, section 5)."""

import pytest
from pytest_django.fixtures import Settings

from provisioning.endpoints import allowed_url
from provisioning.errors import Cause, WorkspaceFailed

ALLOWED = ["https://tools.example.com/team", "http://127.0.0.1:9000"]


def test_a_refusal_names_its_cause_and_not_the_server(settings: Settings) -> None:
    settings.MCP_SERVER_URL_ALLOWLIST = ALLOWED

    with pytest.raises(WorkspaceFailed) as refusal:
        allowed_url("https://evil.example/mcp")

    assert refusal.value.cause == Cause.NOT_ALLOWED
    assert "evil" not in refusal.value.message
