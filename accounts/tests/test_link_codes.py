"""Codes of links. Source: the Linking paragraph: 128 bits or 8 characters, hashed, 10 minutes, one use, few tries, confirmed."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.errors import LimitReached
from accounts.link_codes import ALPHABET, ChatAccount, IssuedCode, Redemption, issue_code, normalised, redeem_on
from accounts.link_requests import Decided, confirm_on, reject_on, requests_of, withdraw_on
from accounts.link_tries import CODES_EACH, TRIES_EACH, TRIES_IN_ALL
from accounts.links import links_of, unlink, unlink_account_on, user_of
from accounts.models import AuditEntry, ChannelLink, LinkCode, LinkTries
from gateway.db import connection
from gateway.ids import new_id

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("users", "pool")]
ADA = ChatAccount(channel="telegram", account="7", name="Ada (@ada)", reply_to={"chat": 7})


def account(number: int, **fields: Any) -> ChatAccount:
    return ChatAccount(channel="telegram", account=str(number), **fields)


async def redeem(code: str, by: ChatAccount = ADA) -> Redemption:
    async with connection() as conn, conn.transaction():
        return await redeem_on(conn, code, by=by)


async def confirm(request: str, user: str = "demo-pro") -> Decided | None:
    async with connection() as conn, conn.transaction():
        return await confirm_on(conn, request, user_id=user)


async def pending(user: str = "demo-pro", by: ChatAccount = ADA) -> str:
    """The id of a request of the account to the user."""
    code = await issue_code(user, channel=by.channel)
    assert await redeem(code.token, by) is Redemption.PENDING
    return (await requests_of(user))[0].id


async def do(statement: str) -> None:
    async with connection() as conn:
        await conn.execute(statement)


async def audited() -> list[tuple[str, str, str, str]]:
    rows = AuditEntry.objects.order_by("id").values_list("actor", "action", "user_id", "object")
    return [row async for row in rows]


class TestIssuing:
    async def test_a_code_is_short_for_people_and_128_bits_for_links_and_lasts_ten_minutes(self) -> None:
        issued = await issue_code("demo-pro", channel="telegram")

        assert re.fullmatch(f"[{ALPHABET}]{{8}}", issued.code)
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", issued.token)
        assert timedelta(minutes=9) < issued.expires_at - datetime.now(UTC) <= timedelta(minutes=10, seconds=5)
        assert not set("01OILU") & set(ALPHABET)

    async def test_neither_form_is_kept(self) -> None:
        issued = await issue_code("demo-pro", channel="telegram")

        rows = [str(row) async for row in LinkCode.objects.values()] + [
            str(row) async for row in AuditEntry.objects.values()
        ]
        assert rows
        assert not any(secret in row for row in rows for secret in (issued.code, issued.token))

    async def test_digests_need_the_secret_key(self, settings: Any) -> None:
        """Source: 39 bits are hashed through in seconds by whoever holds a copy of the database."""
        issued = await issue_code("demo-pro", channel="telegram")
        settings.SECRET_KEY = "another"

        assert await redeem(issued.code) is Redemption.INVALID

    async def test_a_new_code_ends_the_one_before_it_of_the_same_channel(self) -> None:
        old, elsewhere = await issue_code("demo-pro", channel="telegram"), await issue_code("demo-pro", channel="slack")
        new = await issue_code("demo-pro", channel="telegram")

        assert await redeem(old.code) is Redemption.INVALID
        assert await redeem(old.token) is Redemption.INVALID
        assert await redeem(new.code) is Redemption.PENDING
        assert await redeem(elsewhere.code, ChatAccount(channel="slack", account="T1:U1")) is Redemption.PENDING

    async def test_of_fifty_at_once_twenty_are_made_and_the_last_is_open(self) -> None:
        asked = [issue_code("demo-pro", channel="telegram") for _ in range(50)]
        made = await asyncio.gather(*asked, return_exceptions=True)

        assert sum(isinstance(each, IssuedCode) for each in made) == CODES_EACH
        assert {type(each) for each in made} == {IssuedCode, LimitReached}
        assert [request.state for request in await requests_of("demo-pro")] == ["open"]
        assert await AuditEntry.objects.filter(action="link_code.made").acount() == CODES_EACH

    async def test_who_asked_for_too_many_is_told_how_long_to_wait_and_others_are_not_held_back(self) -> None:
        for _ in range(CODES_EACH):
            last = await issue_code("demo-pro", channel="telegram")
        for _ in range(2):
            with pytest.raises(LimitReached) as refused:
                await issue_code("demo-pro", channel="slack")
            assert 0 < (refused.value.retry_after_s or 0) <= 600

        await issue_code("demo-free", channel="telegram")
        assert await redeem(last.code) is Redemption.PENDING
        await do("UPDATE link_tries SET since = clock_timestamp() - interval '11 minutes'")
        await issue_code("demo-pro", channel="slack")

    async def test_what_is_over_is_removed_by_later_codes(self) -> None:
        await pending()
        await do("UPDATE link_codes SET expires_at = clock_timestamp() - interval '1 s'")
        await do("UPDATE link_tries SET since = clock_timestamp() - interval '11 minutes'")
        await issue_code("demo-free", channel="telegram")

        assert [row.user_id async for row in LinkCode.objects.all()] == ["demo-free"]
        assert [row.scope async for row in LinkTries.objects.all()] == ["codes:demo-free"]


class TestRedeeming:
    @pytest.mark.parametrize("form", ["code", "token"])
    async def test_a_right_code_makes_a_request_and_no_link(self, form: str) -> None:
        issued = await issue_code("demo-pro", channel="telegram")

        assert await redeem(getattr(issued, form)) is Redemption.PENDING
        assert await user_of("telegram", "7") is None
        (request,) = await requests_of("demo-pro")
        assert (request.state, request.channel, request.account, request.name) == (
            "pending",
            "telegram",
            "7",
            "Ada (@ada)",
        )

    async def test_two_hundred_redemptions_at_once_make_one_request_and_one_link(self) -> None:
        issued = await issue_code("demo-pro", channel="telegram")

        outcomes = await asyncio.gather(
            *[redeem(issued.code if n % 2 else issued.token, account(1000 + n)) for n in range(200)]
        )
        assert sorted(map(str, outcomes)) == sorted(map(str, [Redemption.PENDING] + [Redemption.INVALID] * 199))
        (request,) = await requests_of("demo-pro")
        decided = await asyncio.gather(*[confirm(request.id) for _ in range(20)])

        assert sum(each is not None for each in decided) == 1
        assert await ChannelLink.objects.acount() == 1

    async def test_one_account_trying_two_hundred_times_at_once_makes_one_request(self) -> None:
        issued = await issue_code("demo-pro", channel="telegram")

        outcomes = await asyncio.gather(*[redeem(issued.code) for _ in range(200)])

        assert outcomes.count(Redemption.PENDING) == 1
        assert outcomes.count(Redemption.INVALID) == TRIES_EACH - 1
        assert len(await requests_of("demo-pro")) == 1

    async def test_what_never_was_is_used_old_or_another_channels_is_answered_alike(self) -> None:
        used, old, elsewhere = [
            await issue_code(user, channel=channel)
            for user, channel in (("demo-pro", "telegram"), ("demo-free", "telegram"), ("demo-free", "slack"))
        ]
        await redeem(used.code, account(1))
        await do(
            "UPDATE link_codes SET expires_at = clock_timestamp() WHERE user_id = 'demo-free' AND channel_type = 'telegram'"
        )

        for number, code in enumerate(
            [used.code, used.token, old.code, old.token, elsewhere.code, "22222222", "no code", ""]
        ):
            assert await redeem(code, account(10 + number)) is Redemption.INVALID

    async def test_a_second_request_of_an_account_to_the_same_user_replaces_the_first(self) -> None:
        first, second = await pending(), await pending()

        assert [request.id for request in await requests_of("demo-pro")] == [second]
        assert await confirm(first) is None

    async def test_an_account_that_speaks_for_the_user_already_uses_the_code_up(self) -> None:
        await confirm(await pending())
        issued = await issue_code("demo-pro", channel="telegram")

        assert await redeem(issued.code) is Redemption.ALREADY
        assert await redeem(issued.code) is Redemption.INVALID
        assert await requests_of("demo-pro") == []
        assert len(await links_of("demo-pro")) == 1

    async def test_another_users_account_is_refused_and_not_named(self) -> None:
        await confirm(await pending())
        issued = await issue_code("demo-free", channel="telegram")

        assert await redeem(issued.code) is Redemption.TAKEN
        (request,) = await requests_of("demo-free")
        assert (request.state, request.account, request.name) == ("refused", "", "")
        assert await confirm(request.id, "demo-free") is None
        assert await user_of("telegram", "7") == "demo-pro"


class TestTries:
    async def test_an_account_has_five_in_ten_minutes_and_then_not_even_the_right_code_helps(self) -> None:
        issued = await issue_code("demo-pro", channel="telegram")
        outcomes = [await redeem(f"2222222{n}") for n in range(2, 7)]
        assert outcomes == [Redemption.INVALID] * TRIES_EACH

        assert [await redeem(code) for code in (issued.code, issued.token, "22222222")] == [
            Redemption.BLOCKED,
            Redemption.SILENCED,
            Redemption.SILENCED,
        ]
        assert await redeem(issued.code, account(8)) is Redemption.PENDING

        await do("UPDATE link_tries SET since = clock_timestamp() - interval '11 minutes'")
        assert await redeem("22222222") is Redemption.INVALID

    async def test_an_address_has_five_whatever_accounts_come_from_it(self) -> None:
        issued = await issue_code("demo-pro", channel="telegram")
        for number in range(TRIES_EACH):
            assert await redeem("22222222", account(100 + number, address="192.0.2.1")) is Redemption.INVALID

        assert await redeem(issued.token, account(200, address="192.0.2.1")) is Redemption.BLOCKED
        assert await redeem(issued.token, account(200, address="192.0.2.2")) is Redemption.PENDING

    async def test_everybody_together_has_so_many_guesses_while_deep_links_go_on(self) -> None:
        issued = await issue_code("demo-pro", channel="telegram")
        await do(f"INSERT INTO link_tries VALUES ('all', clock_timestamp(), {TRIES_IN_ALL - 1})")

        assert await redeem("22222222", account(1)) is Redemption.INVALID
        assert await redeem(issued.code, account(2)) is Redemption.BLOCKED
        assert await redeem(issued.code, account(3)) is Redemption.BLOCKED
        assert await redeem(issued.token, account(4)) is Redemption.PENDING

    async def test_tries_at_once_are_counted_by_the_database(self) -> None:
        outcomes = await asyncio.gather(*[redeem("22222222") for _ in range(40)])

        assert outcomes.count(Redemption.INVALID) == TRIES_EACH
        assert outcomes.count(Redemption.BLOCKED) == 1


class TestDeciding:
    async def test_a_confirmed_request_is_a_link_that_keeps_the_name_and_the_id(self) -> None:
        request = await pending()

        decided = await confirm(request)

        assert decided == Decided(ADA, link=request)
        (link,) = await links_of("demo-pro")
        assert (link.id, link.channel, link.account, link.name) == (request, "telegram", "7", "Ada (@ada)")
        assert await requests_of("demo-pro") == []
        assert await user_of("telegram", "7") == "demo-pro"

    async def test_only_its_user_can_confirm_or_reject(self) -> None:
        request = await pending()

        for asked in (request, new_id(), "x", "", "\0", request.upper() + "0"):
            assert await confirm(asked, "demo-free") is None
            async with connection() as conn:
                assert await reject_on(conn, asked, user_id="demo-free") is None
        assert await confirm(request) is not None

    async def test_an_open_code_can_not_be_confirmed(self) -> None:
        await issue_code("demo-pro", channel="telegram")
        (request,) = await requests_of("demo-pro")

        assert await confirm(request.id) is None

    async def test_a_request_ends_with_its_code(self) -> None:
        request = await pending()
        await do("UPDATE link_codes SET expires_at = clock_timestamp()")

        assert await requests_of("demo-pro") == []
        assert await confirm(request) is None

    async def test_a_rejected_request_links_nothing_and_is_over(self) -> None:
        request = await pending()

        async with connection() as conn:
            assert await reject_on(conn, request, user_id="demo-pro") == Decided(ADA, link="")
        assert await confirm(request) is None
        assert await links_of("demo-pro") == []

    async def test_of_two_users_who_confirm_one_account_at_once_one_has_it(self) -> None:
        requests = {user: await pending(user) for user in ("demo-pro", "demo-free")}

        decided = await asyncio.gather(*[confirm(request, user) for user, request in requests.items()])

        assert sorted(each is not None and each.linked for each in decided) == [False, True]
        assert await ChannelLink.objects.acount() == 1

    async def test_the_account_can_take_its_requests_back(self) -> None:
        request = await pending()

        async with connection() as conn:
            assert [await withdraw_on(conn, ADA), await withdraw_on(conn, ADA)] == [True, False]
        assert await confirm(request) is None

    async def test_a_link_is_ended_by_its_user_only(self) -> None:
        request = await pending()
        await confirm(request)

        for asked, user in ((request, "demo-free"), (new_id(), "demo-pro"), ("x", "demo-pro")):
            assert not await unlink(asked, user_id=user)
        assert await unlink(request, user_id="demo-pro")
        assert not await unlink(request, user_id="demo-pro")
        assert await user_of("telegram", "7") is None

    async def test_each_step_leaves_an_entry_that_says_who_took_it(self) -> None:
        await confirm(await pending())
        async with connection() as conn:
            await unlink_account_on(conn, "telegram", "7", actor="chat:telegram:7")

        assert await audited() == [
            ("user:demo-pro", "link_code.made", "demo-pro", "telegram"),
            ("chat:telegram:7", "link.requested", "demo-pro", "telegram:7"),
            ("user:demo-pro", "link.made", "demo-pro", "telegram:7"),
            ("chat:telegram:7", "link.removed", "demo-pro", "telegram:7"),
        ]


SEPARATORS = st.text(st.sampled_from(" -\u2010\u2011\u2013\u2014\u00a0\u200b\u2009"), max_size=3)
CODES = st.text(st.sampled_from(ALPHABET), min_size=8, max_size=8)


class TestReading:
    @given(st.data(), CODES)
    def test_case_spaces_and_dashes_do_not_matter(self, data: st.DataObject, code: str) -> None:
        typed = "".join(
            data.draw(SEPARATORS) + (each.lower() if data.draw(st.booleans()) else each) for each in code
        ) + data.draw(SEPARATORS)

        assert normalised(typed) == code

    @given(st.text() | st.text(st.sampled_from(ALPHABET + "01OIlu -_"), max_size=30) | st.binary().map(repr))
    def test_whatever_is_typed_is_a_code_or_nothing(self, text: str) -> None:
        assert re.fullmatch(rf"[{ALPHABET}]{{8}}|[A-Za-z0-9_-]{{22}}|", normalised(text))

    @pytest.mark.parametrize("text", ["ABCDEFG", "ABCDEFGHJ", "ABCD0FGH", "\ud800", "Ａ" * 7, "2" * 100_000, "ß" * 4])
    def test_what_is_no_code_is_nothing(self, text: str) -> None:
        assert normalised(text) == ""

    def test_wide_letters_of_other_keyboards_are_read(self) -> None:
        assert normalised("ａｂｃｄ２３４５") == "ABCD2345"


def test_any_text_is_refused_or_redeemed(users: dict[str, str]) -> None:
    """Source: hypothesis over link codes: never an error, whatever is typed; the right code among it is taken once."""
    loop = asyncio.new_event_loop()
    issued: list[IssuedCode] = []

    async def try_all(texts: list[str]) -> list[Redemption]:
        await do("DELETE FROM link_tries")
        issued.append(await issue_code("demo-pro", channel="telegram"))
        typed = [text.replace("CODE", issued[-1].code).replace("TOKEN", issued[-1].token) for text in texts]
        await do("DELETE FROM link_tries")
        return [await redeem(text, account(n + 1)) for n, text in enumerate(typed)]

    @given(
        st.lists(st.text() | st.sampled_from(["CODE", " code CODE", "TOKEN", "TOKENx", "CO DE", "CODE\n"]), max_size=6)
    )
    @hypothesis_settings(max_examples=60)
    def every(texts: list[str]) -> None:
        outcomes = loop.run_until_complete(try_all(texts))
        right = sum(text.strip() in {"CODE", "TOKEN"} for text in texts)

        assert set(outcomes) <= {Redemption.PENDING, Redemption.INVALID}
        assert outcomes.count(Redemption.PENDING) == min(1, right)

    try:
        every()
    finally:
        loop.close()
