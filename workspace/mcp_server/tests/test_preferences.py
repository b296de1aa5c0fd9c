"""Preferences: a typed set, changed key by key."""

from __future__ import annotations

import json

import pytest
from mcp.client import Client

from mcp_server.storage.preferences import Preferences
from mcp_server.tests.harness import USER, call, refusal

EXAMPLE = {
    "model": "anthropic/claude-sonnet-4-5",
    "language": "pt-BR",
    "time_zone": "Europe/Zurich",
    "currency": "CHF",
    "units": "metric",
    "number_format": "1'234.56",
    "date_format": "DD.MM.YYYY",
    "risk_tolerance": "low",
    "max_position_percent": 20.0,
    "max_drawdown_percent": 12.5,
    "max_daily_loss_percent": 2.0,
    "max_leverage": 1.5,
    "watchlist": ["SPX", "BTC/USDT"],
}


async def test_keys_are_set_and_cleared_one_by_one(client: Client) -> None:
    assert await call(client, "set_preferences", values=EXAMPLE) == EXAMPLE

    changed = await call(client, "set_preferences", values={"currency": "USD", "watchlist": None})

    assert changed == {**EXAMPLE, "currency": "USD", "watchlist": None}
    assert await call(client, "get_preferences") == changed
    resource = await client.read_resource("context://preferences")
    assert json.loads(resource.contents[0].text) == changed  # type: ignore[union-attr]


def test_the_example_names_every_key() -> None:
    assert set(EXAMPLE) == set(Preferences.model_fields)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"lang": "de"}, "values.lang: unknown, there are model, language, time_zone"),
        ({"language": "German"}, "values.language: String should match pattern"),
        ({"time_zone": "Mars/Olympus"}, "write it like 'Europe/Zurich'"),
        ({"currency": "dollars"}, "values.currency: String should match pattern"),
        ({"risk_tolerance": "yolo"}, "Input should be 'low', 'medium' or 'high'"),
        ({"units": "furlongs"}, "Input should be 'metric' or 'imperial'"),
        ({"number_format": "1234"}, "values.number_format: Input should be '1,234.56'"),
        ({"max_leverage": 0}, "values.max_leverage: Input should be greater than 0"),
        ({"max_drawdown_percent": 0}, "values.max_drawdown_percent: Input should be greater than 0"),
        ({"max_position_percent": 101}, "less than or equal to 100"),
        ({"watchlist": ["<script>"]}, "each entry must be a symbol"),
    ],
)
async def test_a_wrong_value_is_explained_and_changes_nothing(
    client: Client, values: dict[str, object], told: str
) -> None:
    before = await call(client, "get_preferences")

    assert told in await refusal(client, "set_preferences", values=values)

    assert await call(client, "get_preferences") == before


async def test_the_profile_tells_an_agent_who_the_user_is(client: Client) -> None:
    kept = await call(client, "remember", content="Trades in the morning")

    profile = json.loads((await client.read_resource("context://profile")).contents[0].text)  # type: ignore[union-attr]

    assert (profile["user"], profile["tier"]) == (USER, "pro")
    assert profile["memories"] == [kept]
    assert 0 < profile["storage"]["used_bytes"] < profile["storage"]["quota_bytes"] == 9 * 1024**3
    assert {"IXIC", "SPX"} <= {each["symbol"] for each in profile["instruments"]}
