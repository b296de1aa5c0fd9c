"""Licences and tiers. Source: DESIGN section 5."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from accounts.licence_rules import LicenceInvalid
from accounts.licences import (
    LicenceChange,
    LicenceExpired,
    LicenceMissing,
    LicenceUnreadable,
    active_licence,
    set_licence,
)
from accounts.models import UserLicence
from accounts.tiers import LIMITS, Limits, features_of, limits_of
from gateway.db import connection


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

    @pytest.mark.parametrize(
        "damage",
        [{"features": {"modles": ["small"]}}, {"resource_limits": [1]}, {"license_type": "platinum"}],
    )
    async def test_one_that_cannot_be_read_allows_nothing(self, damage: dict[str, Any]) -> None:
        await UserLicence.objects.filter(user_id="demo-pro").aupdate(**damage)

        with pytest.raises(LicenceUnreadable, match="administrator"):
            await active_licence("demo-pro")

    async def test_any_change_is_told_to_every_process(self) -> None:
        async with connection() as listener:
            await listener.execute("LISTEN licences")
            await UserLicence.objects.filter(user_id="demo-pro").aupdate(expires_at=timezone.now())
            await UserLicence.objects.filter(user_id="demo-free").adelete()

            told = [note.payload async for note in listener.notifies(timeout=5, stop_after=2)]

        assert told == ["demo-pro", "demo-free"]

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
            LicenceChange(tier="pro", features={"channels": ["\0"]}),
            LicenceChange(tier="pro", email="nobody"),
            LicenceChange(tier="pro", mcp_server_url="http://169.254.169.254/"),
            LicenceChange(tier="pro", limits={"tokens_per_month": 10**13}),
            LicenceChange(tier="pro", limits={"cost_usd_per_month": -0.01}),
            LicenceChange(tier="pro", expires_at=datetime.fromisoformat("9999-12-31T23:59:59-12:00")),
            LicenceChange(tier="pro", expires_at=datetime.fromisoformat("0001-01-01T00:00:00+12:00")),
        ],
    )
    def test_what_does_not_fit_the_model_is_refused_and_nothing_is_stored(self, change: LicenceChange) -> None:
        with pytest.raises(LicenceInvalid):
            set_licence("ada", change)

        assert not UserLicence.objects.filter(user_id="ada").exists()

    def test_a_fault_is_told_in_words_at_its_column(self) -> None:
        change = LicenceChange(tier="pro", features={"modles": []}, limits={"memory": "lots", "turns_at_once": -1})

        with pytest.raises(LicenceInvalid) as refused:
            set_licence("ada", change)

        assert refused.value.faults == {
            "features": "There is no key modles; the keys are channels, models, workflows, deploy, schedules.",
            "resource_limits": "memory must be a whole number of Mi, Gi or Ti, such as 512Mi."
            " turns_at_once must be greater than or equal to 0.",
        }


@pytest.mark.django_db(transaction=True)
def test_one_new_licence_set_by_four_at_once_is_one_licence() -> None:
    def change(key: str) -> None:
        set_licence("ada", LicenceChange(tier="pro", limits={key: 1}))
        connections.close_all()

    keys = ["turns_at_once", "messages_per_day", "messages_per_minute", "tokens_per_month"]
    with ThreadPoolExecutor() as threads:
        list(threads.map(change, keys))

    assert UserLicence.objects.get(user_id="ada").resource_limits == dict.fromkeys(keys, 1)


@pytest.mark.django_db
def test_licences_are_found_by_their_expiry() -> None:
    now = timezone.now()
    for user, expires in (("gone", -1), ("soon", 1), ("later", 90), ("never", None)):
        expires_at = None if expires is None else now + timedelta(days=expires)
        UserLicence.objects.create(user_id=user, license_type="pro", expires_at=expires_at)

    def users(found: Any) -> set[str]:
        return set(found.values_list("user_id", flat=True))

    assert users(UserLicence.objects.active()) == {"soon", "later", "never"}
    assert users(UserLicence.objects.expired()) == {"gone"}
    assert users(UserLicence.objects.expiring_within(timedelta(days=30))) == {"soon"}


def test_the_operators_idle_time_is_the_tiers_and_a_licences_own_wins(settings: Any) -> None:
    settings.IDLE_TIMEOUT_FREE_S = 120

    assert limits_of("free", {}).idle_s == 120
    assert limits_of("free", {"idle_s": 0}).idle_s == 0
    assert limits_of("pro", {}) == LIMITS["pro"]


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
