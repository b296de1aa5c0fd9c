"""The commands of this app. Source: DESIGN section 10: each has --json and a non-zero exit on failure."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from accounts.models import Usage, UserLicence
from accounts.tokens import verify_token

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "data_dir")]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


class TestIssueToken:
    def test_it_prints_the_token_alone(self) -> None:
        identity = async_to_sync(verify_token)(run("issue_token", "demo-pro", "--ttl", "60").removesuffix("\n"))

        assert identity.user_id == "demo-pro"
        assert identity.expires_at <= timezone.now() + timedelta(seconds=60)

    def test_json_names_the_user_too(self) -> None:
        assert json.loads(run("issue_token", "stranger", "--json"))["user_id"] == "stranger"

    @pytest.mark.parametrize(
        "arguments", [["a\nb"], [""], ["ada", "--ttl=0"], ["ada", "--ttl=-1"], ["ada", "--ttl=9" + "9" * 30]]
    )
    def test_what_makes_no_token_fails(self, arguments: list[str]) -> None:
        with pytest.raises(CommandError):
            run("issue_token", *arguments)

    def test_without_the_development_issuer_it_fails_and_says_so(self, settings: Any) -> None:
        settings.DEBUG = False

        with pytest.raises(CommandError, match="development issuer is off"):
            run("issue_token", "demo-pro")


class TestSetLicence:
    def test_a_licence_is_made_changed_and_shown(self) -> None:
        assert run("set_licence", "ada", "--tier", "pro") == "ada: pro, expires never\n"

        shown = json.loads(
            run(
                *("set_licence", "ada", "--email", "ada@example.com", "--expires", "2099-01-02T03:04:05+02:00"),
                *("--feature", "models=small,large", "--feature", "deploy=false", "--feature", 'channels=["web"]'),
                *("--limit", "memory=1Gi", "--limit", "messages_per_day=null", "--json"),
            )
        )

        assert shown == {
            "user_id": "ada",
            "email": "ada@example.com",
            "license_type": "pro",
            "features": {"models": ["small", "large"], "deploy": False, "channels": ["web"]},
            "resource_limits": {"memory": "1Gi", "messages_per_day": None},
            "mcp_server_url": "",
            "expires_at": "2099-01-02T03:04:05+02:00",
        }

    def test_an_expiry_without_a_zone_is_utc_and_can_be_taken_away(self) -> None:
        run("set_licence", "demo-pro", "--expires", "2099-01-02")
        assert UserLicence.objects.get(user_id="demo-pro").expires_at == datetime(2099, 1, 2, tzinfo=UTC)

        run("set_licence", "demo-pro", "--expires", "never")
        assert UserLicence.objects.get(user_id="demo-pro").expires_at is None

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["ada"], "license_type: must be one of"),
            (["ada", "--tier=platinum"], "invalid choice"),
            (["demo-pro", "--limit=memory=lots"], "such as 512Mi"),
            (["demo-pro", "--limit=turns=1"], "the keys are memory"),
            (["demo-pro", "--limit=turns_at_once"], "KEY=VALUE"),
            (["demo-pro", "--feature=models=huge"], "small"),
            (["demo-pro", "--expires=tomorrow"], "ISO 8601"),
            (["demo-pro", "--mcp-server-url=http://169.254.169.254/"], "MCP_SERVER_URL_ALLOWLIST"),
            (["a\0b", "--tier=pro"], "printable"),
        ],
    )
    def test_what_cannot_be_set_fails_and_says_why(self, arguments: list[str], said: str) -> None:
        with pytest.raises(CommandError, match=said):
            run("set_licence", *arguments)


class TestUsage:
    @pytest.fixture(autouse=True)
    def _used(self) -> None:
        today = datetime.now(UTC).date()
        for user, model, day, tokens in (
            ("demo-pro", "a/b", today, 1000),
            ("demo-pro", "a/c", today - timedelta(days=40), 30),
            ("demo-free", "a/b", today, 5000),
        ):
            Usage.objects.create(user_id=user, model=model, channel="web", day=day, input_tokens=tokens, turns=1)

    def test_a_users_month_is_shown_by_day_model_and_channel(self) -> None:
        (line,) = json.loads(run("usage", "demo-pro", "--json"))

        assert (line["model"], line["channel"], line["input_tokens"], line["turns"]) == ("a/b", "web", 1000, 1)
        assert "1,000 in (0 cached)" in run("usage", "demo-pro")

    def test_since_an_earlier_day(self) -> None:
        since = (datetime.now(UTC).date() - timedelta(days=50)).isoformat()

        assert [line["model"] for line in json.loads(run("usage", "demo-pro", "--since", since, "--json"))] == [
            "a/c",
            "a/b",
        ]

    def test_without_a_user_each_is_shown_those_with_most_first(self) -> None:
        assert [line["user_id"] for line in json.loads(run("usage", "--json"))] == ["demo-free", "demo-pro"]
        assert [line["user_id"] for line in json.loads(run("usage", "--json", "--limit", "1"))] == ["demo-free"]
        assert "6,000 in" in run("usage")

    def test_nobodys_usage_is_an_empty_list(self) -> None:
        assert json.loads(run("usage", "stranger", "--json")) == []

    def test_a_day_that_is_none_fails(self) -> None:
        with pytest.raises(CommandError, match="YYYY-MM-DD"):
            run("usage", "--since", "yesterday")
