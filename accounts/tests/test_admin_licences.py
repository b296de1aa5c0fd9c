"""What staff does to licences: found fast, changed by the commands' use cases, audited. Source: docs/operations.md, The admin."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import AuditEntry, ChannelLink, UserLicence
from accounts.usage_models import Budget

pytestmark = pytest.mark.django_db
LICENCES = "/admin/accounts/userlicence/"
DAY = timedelta(days=1)


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("grace"))
    AuditEntry.objects.all().delete()
    return client


def staff_with(*permissions: str) -> Client:
    user = User.objects.create_user("henry", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    AuditEntry.objects.all().delete()
    return client


def make(user: str, **values: Any) -> UserLicence:
    return UserLicence.objects.create(user_id=user, **{"license_type": "pro", **values})


def listed(client: Client, **query: str) -> list[str]:
    return [row.user_id for row in client.get(LICENCES, query).context["cl"].result_list]


def act(client: Client, action: str, *users: str, **more: str) -> Any:
    return client.post(LICENCES, {"action": action, "_selected_action": users, **more})


def said(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def expiry(user: str) -> datetime | None:
    return UserLicence.objects.get(user_id=user).expires_at


def audited() -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {row.user_id: (row.actor, row.action, row.details) for row in AuditEntry.objects.all()}


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("ad", ["ada", "adam"]),
        ("ada", ["ada", "adam"]),
        ("adam", ["adam"]),
        ("ADA@EX", ["ada"]),
        ("b", ["zoe"]),
        ("dam", []),
        ("%", []),
        ("_da", []),
        ("ada\x00", ["ada", "adam", "zoe"]),  # the form refuses it, and says so
        ("x" * 300, []),
    ],
)
def test_a_search_finds_how_an_id_or_an_address_begins(staff: Client, term: str, found: list[str]) -> None:
    for user, email in (("ada", "Ada@example.com"), ("adam", ""), ("zoe", "bob@example.com")):
        make(user, email=email)

    assert listed(staff, q=term) == found


def test_a_search_goes_together_with_filters(staff: Client) -> None:
    make("ada", license_type="free")
    make("adam")

    assert listed(staff, q="ad", tier="free") == ["ada"]


def test_those_that_run_out_soon_come_first(staff: Client) -> None:
    now = timezone.now()
    for user, days in (("third", None), ("first", 1), ("second", 20), ("gone", -1)):
        make(user, expires_at=None if days is None else now + days * DAY)

    assert listed(staff, state="active") == ["first", "second", "third"]
    assert listed(staff, state="soon") == ["first", "second"]


@pytest.mark.parametrize("query", ["email__icontains=a", "features__contains=1", "links__channel_type=x"])
def test_nothing_is_looked_up_but_what_the_page_offers(staff: Client, query: str) -> None:
    make("ada", email="ada@example.com")

    assert staff.get(f"{LICENCES}?{query}").status_code == 400


def test_no_address_chooses_another_order(staff: Client) -> None:
    make("bob", email="a@example.com")
    make("ada", email="b@example.com")

    assert listed(staff, o="2") == ["ada", "bob"]


@pytest.mark.parametrize("number", [1, 40])
def test_a_list_takes_as_many_statements_for_many_rows(
    staff: Client, number: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for each in range(number):
        make(f"user-{each}")

    # Session, user, count, rows.
    with django_assert_num_queries(4):
        staff.get(LICENCES)


def test_no_more_rows_are_counted_than_are_shown(staff: Client) -> None:
    UserLicence.objects.bulk_create(UserLicence(user_id=f"user-{each:05}", license_type="pro") for each in range(5_001))

    page = staff.get(LICENCES, {"p": "100"})

    assert page.context["cl"].result_count == 5_000
    assert "the first 5,000 are shown" in page.content.decode()
    assert staff.get(LICENCES, {"p": "101"})["Location"].endswith("?e=1")


@pytest.mark.parametrize("days", [30, 90, 365])
def test_extending_adds_to_what_is_left_and_begins_anew_after_the_end(staff: Client, days: int) -> None:
    now = timezone.now()
    make("runs", expires_at=now + 5 * DAY)
    make("gone", expires_at=now - 5 * DAY)
    make("never")

    answer = act(staff, f"extend_{days}", "runs", "gone", "never")

    runs, gone = expiry("runs"), expiry("gone")
    assert runs == now + (5 + days) * DAY
    assert gone is not None
    assert now + days * DAY <= gone <= timezone.now() + days * DAY
    assert expiry("never") is None
    assert said(answer) == [f"2 licences are extended by {days} days. 1 unchanged (never expires)."]
    entries = audited()
    assert entries.keys() == {"runs", "gone"}
    assert entries["runs"] == (
        "staff:grace",
        "licence.changed",
        {"expires_at": [(now + 5 * DAY).isoformat(), runs.isoformat()]},
    )


def test_suspending_asks_and_then_ends_what_is_in_force(staff: Client) -> None:
    gone = timezone.now() - 5 * DAY
    make("runs", expires_at=timezone.now() + DAY)
    make("never")
    make("gone", expires_at=gone)

    asked = act(staff, "suspend", "runs", "never", "gone")
    assert "These 3 licences end now" in asked.content.decode()
    assert audited() == {}

    answer = act(staff, "suspend", "runs", "never", "gone", confirmed="yes")

    assert sorted(row.user_id for row in UserLicence.objects.expired()) == ["gone", "never", "runs"]
    assert expiry("gone") == gone
    assert said(answer) == ["2 licences are suspended. 1 unchanged (expired before)."]
    assert audited().keys() == {"runs", "never"}


def test_a_tier_is_changed_once_staff_has_seen_what_changes(staff: Client) -> None:
    make("ada", resource_limits={"turns_at_once": 2})
    make("bob", license_type="free")

    assert 'name="tier"' in act(staff, "change_tier", "ada", "bob").content.decode()
    shown = act(staff, "change_tier", "ada", "bob", tier="free")
    ada, bob = shown.context["changes"]
    assert {each.label: (each.before, each.after) for each in ada.differences}["Tokens a month"] == (
        "20,000,000",
        "1,000,000",
    )
    assert [(each.label, each.text) for each in ada.kept] == [("Turns at once", "2")]
    assert bob.differences == []
    assert audited() == {}

    answer = act(staff, "change_tier", "ada", "bob", tier="free", confirmed="yes")

    assert set(UserLicence.objects.values_list("license_type", flat=True)) == {"free"}
    assert said(answer) == ["1 licence is now free. 1 unchanged (the same tier)."]
    assert audited() == {"ada": ("staff:grace", "licence.changed", {"tier": ["pro", "free"]})}


def test_a_tier_that_is_none_is_not_given(staff: Client) -> None:
    make("ada")

    assert "changes" not in act(staff, "change_tier", "ada", tier="platinum", confirmed="yes").context
    assert UserLicence.objects.get().license_type == "pro"


def test_a_licence_that_only_plain_sql_can_write_is_shown_as_such(staff: Client) -> None:
    make("ada", features=["nonsense"])
    make("bob", license_type="platinum")

    page = act(staff, "change_tier", "ada", "bob", tier="free").content.decode()

    assert page.count("can&#x27;t be read") == 2
    for user in ("ada", "bob"):
        assert "nothing is allowed" in staff.get(f"{LICENCES}{user}/change/").content.decode()
    assert act(staff, "suspend", "ada", "bob", confirmed="yes").status_code == 302


def test_many_licences_take_as_many_statements_as_one(
    staff: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    users = [make(f"user-{each}", expires_at=timezone.now()).user_id for each in range(50)]

    with django_assert_max_num_queries(15):
        assert act(staff, "extend_30", *users).status_code == 302
    assert AuditEntry.objects.count() == 50


def test_no_action_runs_on_rows_that_nobody_ticked(staff: Client) -> None:
    make("ada")
    make("bob")

    assert act(staff, "suspend", "ada", confirmed="yes", select_across="1").status_code == 400
    assert not UserLicence.objects.expired()


def test_a_form_replaces_what_it_shows_and_an_entry_says_what(staff: Client) -> None:
    make("ada", features={"deploy": False}, resource_limits={"idle_s": 60})
    form = {
        "email": "", "license_type": "pro", "expires_at_0": "", "expires_at_1": "", "features": "{}",
        "resource_limits": '{"cpu": "1"}', "mcp_server_url": "",
    }  # fmt: skip

    assert staff.post(f"{LICENCES}ada/change/", form).status_code == 302

    assert audited()["ada"][2] == {
        "features": [{"deploy": False}, {}],
        "resource_limits": [{"idle_s": 60}, {"cpu": "1"}],
    }


def test_a_form_that_was_opened_before_a_suspension_does_not_undo_it(staff: Client) -> None:
    make("ada")
    form = staff.get(f"{LICENCES}ada/change/").context["adminform"].form
    shown = {"email": "", "license_type": "pro", "expires_at_0": "", "expires_at_1": "", "features": "{}",
             "resource_limits": "{}", "mcp_server_url": "", "seen": form["seen"].value()}  # fmt: skip
    act(staff, "suspend", "ada", confirmed="yes")

    answer = staff.post(f"{LICENCES}ada/change/", shown | {"email": "ada@example.com"})

    assert "Somebody else has changed this licence" in answer.content.decode()
    assert UserLicence.objects.expired().count() == 1
    now = staff.get(f"{LICENCES}ada/change/").context["adminform"].form["seen"].value()
    assert staff.post(f"{LICENCES}ada/change/", shown | {"seen": now}).status_code == 302


def test_removing_licences_ends_their_links_too(staff: Client) -> None:
    make("ada")
    ChannelLink.objects.create(user_id="ada", channel_type="telegram", channel_user_id="1")

    assert act(staff, "delete_selected", "ada", post="yes").status_code == 302

    assert not ChannelLink.objects.exists()
    assert audited()["ada"][:2] == ("staff:grace", "licence.removed")


def test_a_licences_page_shows_what_it_allows_and_what_was_used(staff: Client) -> None:
    make("ada/b c", resource_limits={"turns_at_once": 2})
    month = timezone.now().date().replace(day=1)
    Budget.objects.create(user_id="ada/b c", month=month, tokens_used=12_345, cost_used="0.5")

    page = staff.get(f"{LICENCES}{quote('ada/b c')}/change/").content.decode()

    assert "12,345" in page
    assert "$0.5000" in page
    assert "/admin/agents/turn/?q=ada%2Fb+c" in page
    assert "Turns at once" in page


def test_history_leads_to_the_audit(staff: Client) -> None:
    make("ada")

    assert staff.get(f"{LICENCES}ada/history/")["Location"] == "/admin/accounts/auditentry/?q=ada"


@pytest.mark.parametrize("address", ["a%00b/change/", "nobody/change/", "nobody/delete/"])
def test_a_licence_that_is_not_there_is_said_to_be_missing(staff: Client, address: str) -> None:
    assert staff.get(f"{LICENCES}{address}")["Location"] == "/admin/"


def test_who_may_only_look_changes_nothing() -> None:
    make("ada")
    henry = staff_with("view_userlicence")

    assert listed(henry) == ["ada"]
    page = henry.get(f"{LICENCES}ada/change/")
    assert (page.status_code, "field-seen" in page.content.decode()) == (200, False)
    for action in ("extend_30", "suspend", "change_tier", "delete_selected"):
        act(henry, action, "ada", confirmed="yes", tier="free", post="yes")
    assert henry.post(f"{LICENCES}ada/change/", {}).status_code == 403
    assert (UserLicence.objects.get().license_type, expiry("ada"), audited()) == ("pro", None, {})


def test_staff_without_a_permission_and_others_see_nothing() -> None:
    make("ada")
    henry = staff_with()
    nobody = Client()
    nobody.force_login(User.objects.create_user("eve"))

    for address in ("", "ada/change/", "ada/history/"):
        assert henry.get(LICENCES + address).status_code in {302, 403}
        assert "ada" not in henry.get(LICENCES + address).content.decode().replace("/ada/", "")
        for stranger in (nobody, Client()):
            assert stranger.get(LICENCES + address)["Location"].startswith("/admin/login/")


def test_the_field_of_a_link_finds_users_by_how_they_begin(staff: Client) -> None:
    for user in ("ada", "adam", "zoe"):
        make(user)
    query = {"app_label": "accounts", "model_name": "channellink", "field_name": "user", "term": "ad"}

    found = staff.get("/admin/autocomplete/", query).json()

    assert [row["id"] for row in found["results"]] == ["ada", "adam"]
