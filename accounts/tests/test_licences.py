"""Licences and tiers. Source: DESIGN section 5."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from accounts.licences import (
    LicenceChange,
    LicenceExpired,
    LicenceInvalid,
    LicenceMissing,
    active_licence,
    is_allowed_url,
    set_licence,
)
from accounts.models import UserLicence
from accounts.tiers import LIMITS, Limits, features_of, limits_of


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("users", "pool")
class TestActiveLicence:
    async def test_a_licence_has_its_tiers_defaults(self) -> None:
        licence = await active_licence("demo-free")

        assert licence.tier == "free"
        assert licence.limits == LIMITS["free"]
        assert licence.features.models == ("small",)

    async def test_an_override_changes_its_own_key_only(self) -> None:
        await UserLicence.objects.filter(user_id="demo-free").aupdate(resource_limits={"turns_at_once": None})

        licence = await active_licence("demo-free")

        assert licence.limits == LIMITS["free"].model_copy(update={"turns_at_once": None})

    async def test_one_that_has_run_out_is_no_licence(self) -> None:
        with pytest.raises(LicenceExpired):
            await active_licence("demo-expired")

    async def test_a_stranger_has_none(self) -> None:
        with pytest.raises(LicenceMissing):
            await active_licence("stranger")


@pytest.mark.django_db
class TestSetLicence:
    def test_what_is_not_named_is_kept(self) -> None:
        set_licence("ada", LicenceChange(tier="pro", email="ada@example.com", limits={"idle_s": 60, "cpu": "1"}))

        row = set_licence("ada", LicenceChange(tier="free", limits={"cpu": "250m"}))

        assert (row.license_type, row.email) == ("free", "ada@example.com")
        assert row.resource_limits == {"idle_s": 60, "cpu": "250m"}

    def test_an_expiry_can_be_set_and_taken_away(self) -> None:
        soon = timezone.now() + timedelta(days=1)
        assert set_licence("ada", LicenceChange(tier="pro", expires_at=soon)).expires_at == soon

        assert set_licence("ada", LicenceChange(never_expires=True)).expires_at is None

    @pytest.mark.parametrize(
        "change",
        [
            LicenceChange(),
            LicenceChange(tier="pro", limits={"turns": 1}),
            LicenceChange(tier="pro", limits={"memory": "lots"}),
            LicenceChange(tier="pro", limits={"turns_at_once": -1}),
            LicenceChange(tier="pro", limits={"turns_at_once": True}),
            LicenceChange(tier="pro", features={"models": ["huge"]}),
            LicenceChange(tier="pro", mcp_server_url="http://169.254.169.254/"),
        ],
    )
    def test_what_does_not_fit_the_model_is_refused_and_nothing_is_stored(self, change: LicenceChange) -> None:
        with pytest.raises(LicenceInvalid):
            set_licence("ada", change)

        assert not UserLicence.objects.filter(user_id="ada").exists()


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://mcp.example/users/ada", True),
        ("https://mcp.example/users", True),
        ("https://mcp.example/users-evil", False),
        ("https://mcp.example.evil/users/ada", False),
        ("https://mcp.example@evil.example/users/", False),
        ("http://mcp.example/users/ada", False),
        ("https://mcp.example:8443/users/ada", False),
        ("https://mcp.example/users/../admin", False),
        ("file:///etc/passwd", False),
        ("https://[bad/users", False),
    ],
)
def test_a_server_url_lies_below_an_entry_of_the_allow_list(url: str, allowed: bool, settings: Any) -> None:
    settings.MCP_SERVER_URL_ALLOWLIST = ["https://mcp.example/users/"]

    assert is_allowed_url(url) is allowed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    st.lists,
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*Limits.model_fields, "other"]), JSON, max_size=4))
def test_any_override_of_limits_is_either_refused_or_typed(overrides: dict[str, Any]) -> None:
    try:
        limits = limits_of("free", overrides)
    except ValidationError:
        return

    assert "other" not in overrides
    assert limits.idle_s >= 0


@given(
    st.dictionaries(
        st.sampled_from(["channels", "models", "workflows", "deploy", "schedules", "other"]), JSON, max_size=4
    )
)
def test_any_override_of_features_is_either_refused_or_typed(overrides: dict[str, Any]) -> None:
    try:
        features = features_of("pro", overrides)
    except ValidationError:
        return

    assert isinstance(features.deploy, bool)
