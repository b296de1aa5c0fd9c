"""AUTO_ENROL_TIER: a licence for whoever comes for the first time. Source: DESIGN, section 4 ("off")."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from accounts.enrolment import enrol
from accounts.issuer import issue_token
from accounts.licences import LicenceChange, set_licence
from accounts.models import AuditEntry, UserLicence
from accounts.tokens import Identity

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("accounts.tests.urls")]
ADA = Identity("ada", datetime.now(UTC) + timedelta(hours=1), email="ada@example.com")


async def licences() -> list[tuple[str, str, str]]:
    return [(row.user_id, row.license_type, row.email) async for row in UserLicence.objects.all()]


async def test_it_is_off_unless_somebody_sets_it(pool: None) -> None:
    await enrol(ADA)

    assert await licences() == []


async def test_twenty_first_comings_at_once_are_one_licence_and_one_entry(pool: None, settings: Any) -> None:
    settings.AUTO_ENROL_TIER = "free"
    await asyncio.gather(*(enrol(ADA) for _ in range(20)))

    assert await licences() == [("ada", "free", "ada@example.com")]
    entries = [(row.actor, row.action, row.user_id, row.details) async for row in AuditEntry.objects.all()]
    details = {"tier": [None, "free"], "email": [None, "ada@example.com"]}
    assert entries == [("gateway", "licence.made", "ada", details)]


async def test_a_licence_that_there_is_stays_as_it_is(pool: None, settings: Any) -> None:
    settings.AUTO_ENROL_TIER = "free"
    await sync_to_async(set_licence)("ada", LicenceChange(tier="enterprise"))
    await enrol(ADA)

    assert await licences() == [("ada", "enterprise", "")]


@pytest.mark.parametrize("made_by", ["staff", "enrolment", "sql"])
async def test_a_licence_that_was_taken_away_does_not_come_back(made_by: str, pool: None, settings: Any) -> None:
    settings.AUTO_ENROL_TIER = "free"
    if made_by == "staff":
        await sync_to_async(set_licence)("ada", LicenceChange(tier="pro"))
    elif made_by == "enrolment":
        await enrol(ADA)
    else:
        await UserLicence.objects.abulk_create([UserLicence(user_id="ada", license_type="pro")])
    await UserLicence.objects.all().adelete()
    await enrol(ADA)

    assert await licences() == []


@pytest.mark.usefixtures("data_dir")
class TestArrivals:
    def test_a_first_token_enrols(self, client: Client, settings: Any) -> None:
        settings.AUTO_ENROL_TIER = "pro"
        answer = client.get("/who", headers={"Authorization": f"Bearer {issue_token('ada')}"})

        assert answer.json() == {"user_id": "ada"}
        assert UserLicence.objects.get().license_type == "pro"

    def test_a_bad_token_enrols_nobody(self, client: Client, settings: Any) -> None:
        settings.AUTO_ENROL_TIER = "pro"
        client.get("/who", headers={"Authorization": f"Bearer {issue_token('ada')}x"})

        assert not UserLicence.objects.exists()

    def test_a_first_sign_in_enrols(self, client: Client, settings: Any) -> None:
        settings.AUTO_ENROL_TIER = "free"
        client.post("/signin/", {"user": "demo-unlicensed"})

        assert UserLicence.objects.get().user_id == "demo-unlicensed"
