"""The admin's first page: exact numbers, each for those who may see its page. Source: docs/operations.md, The admin."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts import audit
from accounts.models import UserLicence
from accounts.usage_models import Usage
from agents.models import Conversation, Turn
from provisioning.models import Workspace, WorkspaceDay

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def client_of(*permissions: str, superuser: bool = False) -> Client:
    user = User.objects.create_user("grace", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def happened() -> None:
    """A little of everything, today and before."""
    now = timezone.now()
    today = now.date()
    for user, back, turns, failed in (("ada", 0, 3, 1), ("bob", 0, 2, 0), ("ada", 1, 10, 0), ("ada", 40, 99, 9)):
        Usage.objects.create(
            user_id=user, day=today - back * DAY, model="a/b", turns=turns, failed_turns=failed, cost_usd="0.25",
            input_tokens=700, output_tokens=50,
        )  # fmt: skip
    WorkspaceDay.objects.create(day=today, starts=4, failed_starts=2, start_ms=10_000)
    Workspace.objects.create(name="ws-1", user_id="ada", backend="process", state="ready")
    Workspace.objects.create(name="ws-2", user_id="bob", backend="process", state="stopped")
    for user, expires in (("soon", now + 2 * DAY), ("later", now + 60 * DAY), ("gone", now - DAY), ("never", None)):
        UserLicence.objects.create(user_id=user, license_type="pro", expires_at=expires)
    conversation = Conversation.objects.create(user_id="ada")
    for back in (1, 30):
        Turn.objects.create(
            user_id="ada", conversation=conversation, channel="web", external_id=str(back), digest="d", state="failed",
            dead=True, finished_at=now - back * DAY,
        )  # fmt: skip
    audit.record(audit.Event(actor=audit.staff("henry"), action="licence.changed", user_id="ada"))


def shown(client: Client, **query: str) -> Any:
    return client.get("/admin/", query).context


def tiles(context: Any) -> dict[str, tuple[str, str]]:
    return {tile.label: (tile.value, tile.note) for tile in context["tiles"]}


def headlines(context: Any) -> dict[str, tuple[str, str]]:
    return {chart.title: (chart.headline, chart.note) for chart in context["charts"]}


@pytest.mark.usefixtures("happened")
def test_every_number_is_exact() -> None:
    context = shown(client_of(superuser=True))

    assert tiles(context) == {
        "Turns today": ("5", "1 failed"),
        "Active users today": ("2", "users of whom a turn ended"),
        "Cost today": ("$0.5000", "1,500 tokens"),
        "Workspaces running": ("1", "0 starting"),
        "Turns given up": ("1", "in 7 days; may be tried again"),
    }
    assert headlines(context) == {
        "Turns": ("15", ""),
        "Active users": ("2", "on the busiest day"),
        "Cost": ("$0.7500", ""),
        "Cold starts": ("4", "2.5 s each on average"),
        "Failures": ("3", ""),
    }
    assert context["expiring"].total == 1
    assert [row.user_id for row in context["expiring"].first] == ["soon"]
    assert [row.action for row in context["changes"]] == ["staff.signed_in", "licence.changed"]


@pytest.mark.usefixtures("happened")
def test_a_longer_period_holds_more_and_an_unknown_one_is_30_days() -> None:
    client = client_of(superuser=True)

    assert headlines(shown(client, days="90"))["Turns"] == ("114", "")
    assert headlines(shown(client, days="7"))["Turns"] == ("15", "")
    for wrong in ("0", "1000000000", "x", "\x00"):
        assert len(shown(client, days=wrong)["charts"][0].columns) == 30


@pytest.mark.usefixtures("happened")
@pytest.mark.parametrize(
    ("permission", "numbers", "charts", "lists"),
    [
        ("view_usage", {"Turns today", "Active users today", "Cost today"}, {"Turns", "Active users", "Cost", "Failures"}, set()),
        ("view_workspace", {"Workspaces running"}, {"Cold starts", "Failures"}, set()),
        ("view_turn", {"Turns given up"}, set(), set()),
        ("view_userlicence", set(), set(), {"expiring"}),
        ("view_auditentry", set(), set(), {"changes"}),
        ("view_delivery", set(), set(), set()),
    ],
)  # fmt: skip
def test_each_sees_what_they_may(permission: str, numbers: set[str], charts: set[str], lists: set[str]) -> None:
    context = shown(client_of(permission))

    assert (set(tiles(context)), set(headlines(context))) == (numbers, charts)
    assert {name for name in ("expiring", "changes") if context[name] is not None} == lists


@pytest.mark.usefixtures("happened")
def test_failures_hold_what_the_permission_is_for() -> None:
    assert headlines(shown(client_of("view_workspace")))["Failures"] == ("2", "")


def test_nobody_but_staff_sees_it(client: Client) -> None:
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    client.force_login(User.objects.create_user("eve"))
    assert client.get("/admin/")["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("rows", [0, 30])
def test_it_takes_as_many_statements_for_many_rows(
    rows: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of(superuser=True)
    for each in range(rows):
        Usage.objects.create(user_id=f"u{each}", day=timezone.now().date(), turns=1)
        UserLicence.objects.create(user_id=f"u{each}", license_type="pro", expires_at=timezone.now() + each * DAY)

    # Session, user; closed and open days, starts, running, given up, two of licences, changes.
    with django_assert_num_queries(10):
        assert client.get("/admin/").status_code == 200


@pytest.mark.usefixtures("happened")
def test_the_page_loads_nothing_that_its_policy_forbids() -> None:
    answer = client_of(superuser=True).get("/admin/")

    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert (
        "//"
        not in answer.content.decode().replace("http://www.w3.org/2000/svg", "").split("<svg", 1)[1].split("</svg>")[0]
    )
