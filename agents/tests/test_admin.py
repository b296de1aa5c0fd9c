"""Turns in the admin: nobody's words, and dead ones tried again. Source: docs/operations.md, The admin."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import Approval, Conversation, Question, Turn

pytestmark = pytest.mark.django_db(transaction=True)
TURNS = "/admin/agents/turn/"
WORDS = ("secret question", "secret answer", "secret history", "secret title", "secret chat")


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    AuditEntry.objects.all().delete()
    return client


@pytest.fixture
def staff() -> Client:
    return client_of(User.objects.create_superuser("grace"))


def make(user: str = "ada", **values: Any) -> Turn:
    conversation = Conversation.objects.create(user_id=user, title="secret title")
    number = Turn.objects.count()
    defaults = {
        "channel": "web", "external_id": str(number), "digest": "d", "content": "secret question",
        "answer": "secret answer", "history": [{"content": "secret history"}], "reply_to": {"chat": "secret chat"},
    }  # fmt: skip
    return Turn.objects.create(user_id=user, conversation=conversation, **{**defaults, **values})


def listed(client: Client, **query: str) -> list[Turn]:
    return list(client.get(TURNS, query).context["cl"].result_list)


def test_a_turn_is_shown_without_anybodys_words(staff: Client) -> None:
    turn = make(error_code="provider_unavailable", state="failed")

    pages = staff.get(TURNS).content.decode() + staff.get(f"{TURNS}{turn.pk}/change/").content.decode()

    assert "provider_unavailable" in pages
    assert not [words for words in WORDS if words in pages]


def test_turns_are_found_by_state_user_and_id(staff: Client) -> None:
    done, waits, failed = make(state="done"), make("bob"), make(state="failed")
    dead = make(state="failed", dead=True)

    assert listed(staff) == [dead, failed, waits, done]
    assert listed(staff, state="open") == [waits]
    assert listed(staff, state="failed") == [dead, failed]
    assert listed(staff, state="dead") == [dead]
    assert listed(staff, q="bob") == [waits]
    assert listed(staff, q=str(done.pk)) == [done]
    assert listed(staff, q="ada", state="dead") == [dead]


def test_dead_turns_are_tried_again_and_an_entry_says_by_whom(staff: Client) -> None:
    dead = make(state="failed", dead=True, history=None, attempts=3)
    erased = make(state="failed", dead=True, history=None, content="")
    done = make(state="done")

    answer = staff.post(TURNS, {"action": "retry", "_selected_action": [str(each.pk) for each in (dead, erased, done)]})

    assert [str(message) for message in get_messages(answer.wsgi_request)] == [
        "1 turn is queued again.",
        "2 left as before: not given up, or the text is no longer kept.",
    ]
    dead.refresh_from_db()
    assert (dead.state, dead.dead, dead.attempts) == ("queued", False, 0)
    assert [(row.actor, row.action, row.user_id, row.object) for row in AuditEntry.objects.all()] == [
        ("staff:grace", "turn.retried", "ada", f"turn:{dead.pk}")
    ]


def test_a_turn_is_changed_by_nobody(staff: Client) -> None:
    turn = make()

    assert staff.post(f"{TURNS}{turn.pk}/change/", {"state": "done"}).status_code == 403
    assert staff.post(f"{TURNS}{turn.pk}/delete/", {"post": "yes"}).status_code == 403
    assert staff.get(f"{TURNS}add/").status_code == 403


def test_who_may_only_look_can_not_try_again() -> None:
    turn = make(state="failed", dead=True)
    henry = User.objects.create_user("henry", is_staff=True)
    henry.user_permissions.set(Permission.objects.filter(codename="view_turn"))
    client = client_of(henry)

    assert listed(client) == [turn]
    client.post(TURNS, {"action": "retry", "_selected_action": [str(turn.pk)]})

    assert Turn.objects.get().dead
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("address", ["a%00b/change/", "no-id/change/"])
def test_a_turn_that_is_not_there_is_said_to_be_missing(staff: Client, address: str) -> None:
    assert staff.get(TURNS + address)["Location"] == "/admin/"


def test_approvals_and_questions_are_shown_without_their_words(staff: Client) -> None:
    turn, later = make(), timezone.now() + timedelta(minutes=30)
    approval = Approval.objects.create(
        turn=turn, user_id="ada", expires_at=later, workflow="trading_analysis", title="secret question",
        details={"a": "secret answer"}, covered="secret history", digest="d1" * 32, comment="secret chat",
    )  # fmt: skip
    question = Question.objects.create(
        turn=turn, user_id="ada", expires_at=later, text="secret question", schema={"a": "secret answer"}, state="answered",
        values={"a": "secret history"},
    )  # fmt: skip

    pages = ""
    for kind, row in (("approval", approval), ("question", question)):
        address = f"/admin/agents/{kind}/"
        pages += staff.get(address).content.decode() + staff.get(f"{address}{row.pk}/change/").content.decode()
        assert list(staff.get(address, {"q": "ada"}).context["cl"].result_list) == [row]
        assert staff.post(f"{address}{row.pk}/change/", {"state": "approved"}).status_code == 403

    assert "d1" * 32 in pages
    assert not [words for words in WORDS if words in pages]
    assert list(staff.get("/admin/agents/question/", {"state": "pending"}).context["cl"].result_list) == []
