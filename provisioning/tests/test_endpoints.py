"""Servers that staff set in place of a workspace: only allowed ones get the user's tokens (DESIGN, section 5)."""

import pytest
from pytest_django.fixtures import Settings

from provisioning.endpoints import allowed_url, is_allowed
from provisioning.errors import Cause, WorkspaceFailed

ALLOWED = ["https://tools.example.com/team", "http://127.0.0.1:9000"]


@pytest.mark.parametrize(
    "url",
    [
        "https://tools.example.com/team",
        "https://tools.example.com/team/",
        "https://TOOLS.example.com:443/team/mcp?tier=pro",
        "http://127.0.0.1:9000/anything/mcp",
    ],
)
def test_a_url_at_or_under_an_entry_is_allowed(url: str) -> None:
    assert is_allowed(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "https://tools.example.com/teammate",
        "https://tools.example.com/",
        "https://tools.example.com.evil.example/team",
        "https://tools.example.com@evil.example/team",
        "https://evil.example/#https://tools.example.com/team",
        "https://tools.example.com/team#/mcp",
        "https://evil.example/?https://tools.example.com/team",
        "http://tools.example.com/team",
        "https://tools.example.com:8443/team",
        "https://tools.example.com/team/../admin",
        "https://tools.example.com/team/%2e%2e/admin",
        "https://tools.example.com/team/..%2Fadmin",
        "https://tools.example.com/team/%252e%252e/admin",
        "https://tools.example.com/team//admin",
        "https://tools.example.com\\@evil.example/team",
        "https://tools.example.com/te\tam",
        " https://tools.example.com/team",
        "https://tools.example.com/team\n",
        "https://t\u043eols.example.com/team",
        "https://tools.example.com:99999/team",
        "https://[::1/team",
        "//tools.example.com/team",
        "ftp://tools.example.com/team",
        "file:///team",
        "",
    ],
)
def test_what_only_looks_like_an_entry_is_not_allowed(url: str) -> None:
    assert not is_allowed(url, ALLOWED)


@pytest.mark.parametrize("allowlist", [[], [""], ["*"], ["tools.example.com"], ["https://"], ["https://*/"]])
def test_an_empty_or_unreadable_allowlist_allows_nothing(allowlist: list[str]) -> None:
    assert not is_allowed("https://tools.example.com/team", allowlist)


def test_a_refusal_names_its_cause_and_not_the_server(settings: Settings) -> None:
    settings.MCP_SERVER_URL_ALLOWLIST = ALLOWED

    with pytest.raises(WorkspaceFailed) as refusal:
        allowed_url("https://evil.example/mcp")

    assert refusal.value.cause == Cause.NOT_ALLOWED
    assert "evil" not in refusal.value.message
