"""A licence in words. Source: DESIGN section 5, the table of tiers."""

from typing import Any

import pytest

from accounts.licences import Licence
from accounts.tiers import LIMITS, Tier, features_of, limits_of
from channels_app.licence_facts import facts_of


def facts(tier: Tier, *, features: Any = None, limits: Any = None) -> dict[str, str]:
    licence = Licence(
        user_id="ada",
        email="",
        tier=tier,
        features=features_of(tier, features or {}),
        limits=limits_of(tier, limits or {}),
        mcp_server_url="",
        expires_at=None,
    )
    groups = facts_of(licence, labels={"web": "Web", "telegram": "Telegram"})
    return {fact.name: fact.value for _, group in groups for fact in group}


def test_every_tier_is_told() -> None:
    assert facts("free") == {
        "Models": "Small",
        "Channels": "All",
        "Workflows": "All",
        "Deploying strategies": "Yes",
        "Schedules": "Yes",
        "Messages a minute": "10",
        "Messages a day": "100",
        "Answers at once": "1",
        "Tokens a month": "1,000,000",
        "Costs a month": "No limit",
        "Memory": "512 MiB",
        "CPU": "0.5 cores",
        "Storage": "1 GiB",
        "Stops when idle": "After 15 min",
    }
    assert [facts(tier)["Models"] for tier in LIMITS] == ["Small", "Small and large", "All"]
    assert (facts("enterprise")["Stops when idle"], facts("enterprise")["Messages a day"]) == ("Never", "No limit")


@pytest.mark.parametrize(
    ("features", "name", "value"),
    [
        ({"channels": ["web", "telegram"]}, "Channels", "Web, Telegram"),
        ({"channels": ["pigeon_post"]}, "Channels", "Pigeon post"),
        ({"channels": []}, "Channels", "None"),
        ({"models": []}, "Models", "None"),
        ({"models": ["large"]}, "Models", "Large"),
        ({"models": ["large", "small"]}, "Models", "Small and large"),
        ({"workflows": ["trading_analysis"]}, "Workflows", "Trading analysis"),
        ({"deploy": False}, "Deploying strategies", "No"),
    ],
)
def test_what_differs_from_the_tier_is_told(features: Any, name: str, value: str) -> None:
    assert facts("pro", features=features)[name] == value


@pytest.mark.parametrize(
    ("limits", "name", "value"),
    [
        ({"cpu": "1"}, "CPU", "1 core"),
        ({"cpu": "1000m"}, "CPU", "1 core"),
        ({"cpu": "1500m"}, "CPU", "1.5 cores"),
        ({"memory": "2048Mi"}, "Memory", "2,048 MiB"),
        ({"storage": "3Ti"}, "Storage", "3 TiB"),
        ({"idle_s": 90}, "Stops when idle", "After 90 s"),
        ({"idle_s": 7200}, "Stops when idle", "After 2 h"),
        ({"cost_usd_per_month": 12.5}, "Costs a month", "$12.50"),
        ({"messages_per_minute": None}, "Messages a minute", "No limit"),
        ({"messages_per_minute": 0}, "Messages a minute", "0"),
    ],
)
def test_limits_are_told_with_their_units(limits: Any, name: str, value: str) -> None:
    assert facts("pro", limits=limits)[name] == value
