"""Servers that staff may set in place of a workspace. Source: DESIGN section 5, MCP_SERVER_URL_ALLOWLIST."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.mcp_servers import is_allowed

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
        "http://tools.example.com/team",
        "https://tools.example.com:8443/team",
        "https://tools.example.com/team/../admin",
        "https://tools.example.com/team/%2E%2e/admin",
        "https://tools.example.com/team/..%2Fadmin",
        "https://tools.example.com/team/%252e%252e/admin",
        "https://tools.example.com/team//admin",
        "https://tools.example.com\\@evil.example/team",
        "https://tools.example.com/te\tam",
        "https://tools.example.com/team\n",
        "https://t\u043eols.example.com/team",
        "https://tools.example.com:99999/team",
        "https://[::1/team",
        "//tools.example.com/team",
        "ftp://tools.example.com:443/team",
        "",
    ],
)
def test_what_only_looks_like_an_entry_is_not_allowed(url: str) -> None:
    assert not is_allowed(url, ALLOWED)


@pytest.mark.parametrize("allowlist", [[], [""], ["*"], ["tools.example.com"], ["https://"], ["https://*/"]])
def test_an_empty_or_unreadable_list_allows_nothing(allowlist: list[str]) -> None:
    assert not is_allowed("https://tools.example.com/team", allowlist)


@given(st.text(max_size=40))
def test_whatever_follows_the_entry_the_host_stays_its_own(rest: str) -> None:
    assert is_allowed(f"https://tools.example.com/team{rest}", ALLOWED) in {True, False}
    assert not is_allowed(f"https://evil.example/{rest}", ALLOWED)
