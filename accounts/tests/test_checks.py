"""Settings that would open a door, or none, are refused at start. Source: DESIGN section 10."""

from typing import Any

import pytest

from accounts.checks import check_sign_in, check_tokens


def test_the_default_settings_are_good() -> None:
    assert check_tokens() == check_sign_in() == []


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "", "rs256"])
def test_an_algorithm_without_a_public_key_is_refused(algorithm: str, settings: Any) -> None:
    settings.JWT_ALGORITHMS = ["RS256", algorithm]

    assert [error.id for error in check_tokens()] == ["accounts.E001"]


def test_keys_of_an_issuer_who_is_not_named_are_refused(settings: Any) -> None:
    settings.JWT_JWKS_URL, settings.JWT_ISSUER = "https://issuer.example/jwks.json", ""
    assert [error.id for error in check_tokens()] == ["accounts.E002"]

    settings.JWT_ISSUER = "https://issuer.example"
    assert check_tokens() == []


@pytest.mark.parametrize(
    ("chosen", "fault"),
    [
        ({"OIDC_ISSUER": "https://issuer.example"}, "accounts.E003"),
        ({"OIDC_CLIENT_ID": "dexorder"}, "accounts.E003"),
        ({"AUTO_ENROL_TIER": "gold"}, "accounts.E004"),
        (
            {"OIDC_ISSUER": "https://one.example", "OIDC_CLIENT_ID": "x", "JWT_ISSUER": "https://two.example"},
            "accounts.W001",
        ),
    ],
)
def test_a_sign_in_that_can_not_work_is_said(chosen: dict[str, str], fault: str, settings: Any) -> None:
    for name, value in chosen.items():
        setattr(settings, name, value)

    assert [found.id for found in check_sign_in()] == [fault]
