"""The account page in Chromium, against a gateway that plays a script. Source: the Linking paragraph; DESIGN section 4."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from channels_app.tests.browser.account_double import AccountDouble, link, request, usage
from channels_app.tests.browser.conftest import PHONE, Chat, watched

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
HOSTILE = '<img src=x onerror="alert(1)">'


class Account:
    """The page, and the gateway behind it."""

    def __init__(self, page: Page, gateway: AccountDouble) -> None:
        self.page, self.gateway = page, gateway

    async def open(self) -> None:
        await self.page.goto(f"{self.gateway.url}/account/")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def get_code(self) -> None:
        """Press, and wait for the code."""
        await self.press("Link Telegram")
        await expect(self.page.locator(".ask code")).to_be_visible()


@pytest_asyncio.fixture(loop_scope="session")
async def account(page: Page) -> AsyncIterator[Account]:
    """Afterwards no script has failed, no policy was broken and nobody else was asked for anything."""
    async with AccountDouble() as double:
        with watched(Chat(page, double)):
            yield Account(page, double)


async def test_a_code_is_used_in_the_chat_confirmed_here_and_linked(account: Account) -> None:
    await account.open()
    await expect(account.page.locator("#no-links")).to_be_visible()
    await account.press("Link Telegram")

    card = account.page.get_by_role("group", name="Code for Telegram")
    await expect(card.locator("code")).to_have_text("/link ABCD 2345")
    await expect(card.get_by_role("timer")).to_contain_text(":")
    opener = card.get_by_role("link", name="Open Telegram")
    await expect(opener).to_have_attribute("href", "https://t.me/dexorder_bot?start=AAAAAAAAAAAAAAAAAAAAAA")
    await expect(account.page.get_by_role("button", name="Link Telegram")).to_be_hidden()

    account.gateway.requests_ = [request()]
    asks = account.page.get_by_role("group", name="Request of a Telegram account")
    await expect(asks.get_by_role("heading")).to_have_text("Link Telegram account Ada (@ada)?")
    await expect(asks).to_contain_text("4711")
    await expect(card).to_have_count(0)
    await expect(account.page.locator(".link")).to_have_count(0)

    await account.press("Confirm")
    await expect(account.page.locator(".link")).to_contain_text("Ada (@ada)")
    await expect(asks).to_have_count(0)
    await expect(account.page.locator("#spoken")).to_have_text("Telegram account linked.")
    assert account.gateway.changes == ["POST /api/v1/links/codes", "POST /api/v1/links/r1/confirm"]


async def test_a_rejected_request_goes_and_nothing_is_linked(account: Account) -> None:
    account.gateway.requests_ = [request()]
    await account.open()
    await account.press("Reject")

    await expect(account.page.locator(".ask")).to_have_count(0)
    await expect(account.page.locator("#no-links")).to_be_visible()
    assert account.gateway.changes == ["POST /api/v1/links/r1/reject"]


@pytest.mark.parametrize(
    "name", [HOSTILE, "\u202egpj.exe", "x" * 64, "{{ 7*7 }}", "</script><script>alert(1)</script>"]
)
async def test_whatever_an_account_is_called_is_shown_as_text(account: Account, name: str) -> None:
    account.gateway.requests_, account.gateway.links = [request(2, name=name)], [link(name=name)]
    await account.page.set_viewport_size(PHONE)
    await account.open()

    shown = name.replace("\u202e", "")
    await expect(account.page.locator(".pending h3")).to_have_text(f"Link Telegram account {shown}?")
    await expect(account.page.locator(".link strong")).to_have_text(shown)
    assert await account.page.locator("main img").count() == 0
    assert await account.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


async def test_an_account_without_a_name_is_shown_by_its_id(account: Account) -> None:
    account.gateway.requests_ = [request(name=None)]
    await account.open()

    await expect(account.page.locator(".pending h3")).to_have_text("Link Telegram account Account 4711?")


async def test_unlinking_asks_once_more_and_can_be_left(account: Account) -> None:
    account.gateway.links = [link()]
    await account.open()
    await account.press("Unlink Ada (@ada)")
    await account.press("Keep")
    assert account.gateway.changes == []

    await account.press("Unlink Ada (@ada)")
    await account.press("Unlink Ada (@ada) now")
    await expect(account.page.locator(".link")).to_have_count(0)
    await expect(account.page.locator("#no-links")).to_be_visible()
    assert account.gateway.changes == ["DELETE /api/v1/links/r1"]


async def test_the_keyboard_alone_does(account: Account) -> None:
    account.gateway.links = [link()]
    await account.open()
    await account.page.get_by_role("button", name="Unlink Ada (@ada)").focus()
    await account.page.keyboard.press("Enter")
    await expect(account.page.get_by_role("button", name="Keep")).to_be_focused()
    await account.page.keyboard.press("Enter")
    await expect(account.page.get_by_role("button", name="Unlink Ada (@ada)")).to_be_focused()

    await account.page.get_by_role("button", name="Link Telegram").press("Enter")
    await account.page.get_by_role("button", name="Cancel").press("Enter")
    await expect(account.page.get_by_role("button", name="Link Telegram")).to_be_focused()


async def test_an_account_of_another_user_is_told_without_naming_either(account: Account) -> None:
    await account.open()
    await account.get_code()
    account.gateway.requests_ = [request(state="refused")]

    refused = account.page.get_by_role("group", name="Refused request of a Telegram account")
    await expect(refused).to_contain_text("linked to another Dexorder user")
    await expect(account.page.get_by_role("group", name="Code for Telegram")).to_have_count(0)
    await account.press("Dismiss")
    await expect(refused).to_have_count(0)


async def test_what_the_gateway_refuses_is_said(account: Account) -> None:
    account.gateway.requests_ = [request()]
    await account.open()
    account.gateway.refusal = (409, "That Telegram account is linked to another Dexorder user.")
    await account.press("Confirm")

    await expect(account.page.locator("#note")).to_have_text(account.gateway.refusal[1])
    await expect(account.page.get_by_role("button", name="Confirm")).to_be_enabled()


async def test_a_session_that_has_ended_is_said_once_it_matters(account: Account) -> None:
    await account.open()
    account.gateway.refusal = (401, "Signed out.")
    await account.press("Link Telegram")

    await expect(account.page.locator("#note")).to_contain_text("Your session has ended.")


async def test_a_code_that_has_expired_offers_a_new_one(account: Account) -> None:
    account.gateway.life = timedelta(seconds=1)
    await account.open()
    await account.press("Link Telegram")
    await expect(account.page.locator(".ask")).to_contain_text("This code is no longer good.")
    account.gateway.life = timedelta(minutes=10)
    await account.press("New code")

    await expect(account.page.locator(".ask code")).to_have_text("/link ABCD 2345")


async def test_a_code_that_another_tab_replaced_is_no_longer_shown(account: Account) -> None:
    await account.open()
    await account.get_code()
    account.gateway.requests_ = [request(9, state="open", expires_at="2099-01-01T00:00:00Z")]

    await expect(account.page.locator(".ask")).to_contain_text("This code is no longer good.")


async def test_a_code_of_an_account_that_is_linked_already_is_put_away(account: Account) -> None:
    account.gateway.links = [link()]
    await account.open()
    await account.get_code()
    account.gateway.requests_ = []

    await expect(account.page.locator("#note")).to_contain_text("The code was used")
    await expect(account.page.locator(".ask")).to_have_count(0)


async def test_without_a_deep_link_there_is_a_command_only(account: Account) -> None:
    account.gateway.deep_link = None
    await account.open()
    await account.get_code()

    assert await account.page.get_by_role("link", name="Open Telegram").count() == 0


async def test_a_deep_link_that_is_no_address_of_the_web_is_not_offered(account: Account) -> None:
    account.gateway.deep_link = "javascript:alert(1)"
    await account.open()
    await account.get_code()

    assert await account.page.locator(".ask a").count() == 0


async def test_the_focus_stays_where_it_is_while_the_page_asks(account: Account) -> None:
    account.gateway.requests_ = [request()]
    await account.open()
    await account.page.get_by_role("button", name="Reject").focus()
    asked = len(account.gateway.requests)
    while len(account.gateway.requests) < asked + 2:
        await account.page.wait_for_timeout(50)

    await expect(account.page.get_by_role("button", name="Reject")).to_be_focused()


async def test_without_a_licence_the_page_says_why_and_offers_nothing(account: Account) -> None:
    account.gateway.links = [link()]
    account.gateway.context = {"tier": "", "problem": "Your Dexorder licence has expired. Renew it to go on."}
    await account.open()

    await expect(account.page.get_by_text("has expired")).to_be_visible()
    await expect(account.page.get_by_role("button", name="Link Telegram")).to_have_count(0)
    await account.press("Unlink Ada (@ada)")


@pytest.mark.parametrize("days", [7, 90])
async def test_usage_fits_a_phone_and_its_tables_scroll_by_themselves(account: Account, days: int) -> None:
    account.gateway.context["usage"] = usage(days=days)
    await account.page.set_viewport_size(PHONE)
    await account.open()

    assert await account.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    table = account.page.get_by_role("region", name="Usage by model")
    await table.focus()
    for _ in range(15):
        await account.page.keyboard.press("ArrowRight")
    await expect(table.get_by_role("columnheader", name="Cost")).to_be_in_viewport()


async def test_bars_are_as_high_as_their_share_and_have_a_colour_each(account: Account) -> None:
    await account.open()
    charts = account.page.locator(".dx-chart")
    await expect(charts).to_have_count(4)

    colours = (
        await account.page.locator(".dx-plot")
        .nth(1)
        .evaluate(
            "plot => ['main', 'pale', 'warn'].map((tone) => getComputedStyle(plot.querySelector('.dx-' + tone)).fill)"
        )
    )
    assert len(set(colours)) == 3
    assert "rgb(0, 0, 0)" not in colours
    highest = await charts.first.evaluate(HIGHEST)
    assert 0.5 <= highest <= 1.01


async def test_the_numbers_behind_a_chart_are_a_table(account: Account) -> None:
    await account.open()
    chart = account.page.locator(".dx-chart").first
    await chart.get_by_text("Numbers").click()

    await expect(chart.get_by_role("row")).to_have_count(31)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_words_stand_out_from_their_ground(account: Account, scheme: Any) -> None:
    """Source: WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    await account.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    account.gateway.requests_, account.gateway.links = [request(2), request(3, state="refused")], [link()]
    await account.open()
    await account.get_code()
    await account.press("Unlink Ada (@ada)")

    assert await account.page.evaluate(CONTRASTS) == []


# The highest of a chart's days, as a part of the chart's height.
HIGHEST = """(chart) => {
  const height = (each) => each.getBoundingClientRect().height;
  const days = [...chart.querySelectorAll("g")].map((day) => [...day.querySelectorAll("rect:not(.dx-hit)")]);
  return Math.max(...days.map((bars) => bars.reduce((sum, bar) => sum + height(bar), 0))) / height(chart.querySelector("svg"));
}"""
# The words whose contrast with the nearest ground behind them is below 4.5.
CONTRASTS = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = parts(getComputedStyle(at).backgroundColor);
      if (color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll("main *")) {
    const words = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    if (!words || !node.checkVisibility()) continue;
    const [a, b] = [light(parts(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(node.textContent.trim().slice(0, 40));
  }
  return low;
}"""
