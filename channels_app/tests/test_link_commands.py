"""Links made and ended by staff: commands and the admin. Source: DESIGN sections 5 and 10; the form of an id is the channel's."""

import json
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from accounts.links import user_of
from accounts.models import AuditEntry, ChannelLink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users")]
LINKS = "/admin/accounts/channellink/"


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def audited() -> list[tuple[str, str, str, str]]:
    kept = AuditEntry.objects.exclude(action="staff.signed_in").order_by("id")
    return list(kept.values_list("actor", "action", "user_id", "object"))


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("grace"))
    return client


def test_a_linked_account_speaks_for_its_user_until_it_is_unlinked() -> None:
    assert run("link_channel", "demo-pro", "telegram", "4711") == "telegram:4711 speaks for demo-pro.\n"
    assert async_to_sync(user_of)("telegram", "4711") == "demo-pro"
    assert async_to_sync(user_of)("slack", "4711") is None

    assert json.loads(run("unlink_channel", "telegram", "4711", "--json"))["removed"] is True
    assert async_to_sync(user_of)("telegram", "4711") is None
    assert audited() == [
        ("command", "link.made", "demo-pro", "telegram:4711"),
        ("command", "link.removed", "demo-pro", "telegram:4711"),
    ]


def test_linking_again_is_no_error_and_no_event() -> None:
    made = [json.loads(run("link_channel", "demo-pro", "telegram", "4711", "--json"))["made"] for _ in range(2)]

    assert made == [True, False]
    assert ChannelLink.objects.count() == 1
    assert len(audited()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stranger", "telegram", "1"], "no licence"),
        (["demo-free", "telegram", "77"], "another user"),
        (["demo-pro", "Telegram", "1"], "no channel 'Telegram'; the channels are discord, slack, telegram, webhook"),
        (["demo-pro", "web", "1"], "no channel"),
        *[
            (["demo-pro", "telegram", account], "no id of a Telegram account")
            for account in ["", "1\0", "ada", "@ada", "0", "-100", "007", " 7", "7\n", "9" * 17, "٧", str(2**52)]
        ],
    ],
)
def test_what_cannot_be_linked_fails_and_says_why(arguments: list[str], said: str) -> None:
    run("link_channel", "demo-pro", "telegram", "77")

    with pytest.raises(CommandError, match=said):
        run("link_channel", *arguments)


def test_unlinking_what_is_not_linked_fails() -> None:
    with pytest.raises(CommandError, match="not linked"):
        run("unlink_channel", "telegram", "4711")


@pytest.mark.parametrize("account", ["", "a\0b", "\ud800", "x" * 256])
def test_what_is_no_account_speaks_for_nobody(account: str) -> None:
    assert async_to_sync(user_of)("telegram", account) is None
    with pytest.raises(CommandError, match="not linked"):
        run("unlink_channel", "telegram", account)


def test_staff_make_find_and_end_links_and_are_named(staff: Client) -> None:
    link = {"user": "demo-pro", "channel_type": "telegram", "channel_user_id": "4711"}
    assert staff.post(f"{LINKS}add/", link).status_code == 302
    assert staff.post(f"{LINKS}add/", link).context["adminform"].form.errors
    row = staff.get(LINKS, {"q": "4711"}).context["cl"].result_list[0]
    assert row.user_id == "demo-pro"

    assert staff.post(f"{LINKS}{row.id}/change/", link | {"user": "demo-free"}).status_code == 403
    assert staff.post(f"{LINKS}{row.id}/delete/", {"post": "yes"}).status_code == 302

    assert not ChannelLink.objects.exists()
    assert audited() == [
        ("staff:grace", "link.made", "demo-pro", "telegram:4711"),
        ("staff:grace", "link.removed", "demo-pro", "telegram:4711"),
    ]


def test_ending_many_links_leaves_an_entry_each(staff: Client) -> None:
    ids = [
        str(ChannelLink.objects.create(user_id="demo-pro", channel_type="telegram", channel_user_id=each).id)
        for each in "12"
    ]
    action = {"action": "delete_selected", "_selected_action": ids, "post": "yes"}
    assert staff.post(LINKS, action).status_code == 302

    assert sorted(entry[3] for entry in audited()) == ["telegram:1", "telegram:2"]


@pytest.mark.parametrize(
    ("channel", "account", "column", "said"),
    [
        ("telegram", "ada", "channel_user_id", "no id of a Telegram account"),
        ("pigeon", "1", "channel_type", "not one of the available choices"),
    ],
)
def test_a_link_of_the_wrong_form_is_a_fault_of_its_field(
    staff: Client, channel: str, account: str, column: str, said: str
) -> None:
    form: Any = {"user": "demo-pro", "channel_type": channel, "channel_user_id": account}

    errors = staff.post(f"{LINKS}add/", form).context["adminform"].form.errors

    assert said in errors[column][0]


def test_nobody_but_staff_sees_links(client: Client) -> None:
    assert client.get(LINKS)["Location"].startswith("/admin/login/")
