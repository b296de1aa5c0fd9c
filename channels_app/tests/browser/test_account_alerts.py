"""Where alerts and tasks are told, chosen on the account page in Chromium. Source: the user chooses where alerts go."""

import pytest
from playwright.async_api import expect

from channels_app.tests.browser.account_double import alert, link, request, task
from channels_app.tests.browser.conftest import PHONE
from channels_app.tests.browser.test_account_page import HOSTILE, Account, account

__all__ = ["account"]  # fixture

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_an_alert_is_told_in_the_linked_app_that_is_chosen(account: Account) -> None:
    account.gateway.links, account.gateway.schedules = [link()], [alert(), task(channel="slack")]
    await account.open()
    told = account.page.get_by_label("Told in")
    await expect(told.first.locator("option")).to_have_text(["Web page", "Telegram"])
    await expect(told.first).to_have_accessible_description("BTC below 50,000.5")
    await expect(told.last.locator("option")).to_have_text(["Web page", "Telegram", "slack"])
    await expect(told.last).to_have_value("slack")
    await expect(account.page.locator("#schedules")).to_contain_text("Every Monday at 08:30 (Asia/Tokyo)")

    await told.first.select_option("Telegram")
    await expect(account.page.locator("#spoken")).to_have_text("From now on told here: Telegram.")
    assert account.gateway.changes == ["PATCH /api/v1/schedules/s1"]
    assert account.gateway.schedules[0]["channel"] == "telegram"


async def test_what_cannot_be_told_there_stays_where_it_was_and_says_why(account: Account) -> None:
    account.gateway.links, account.gateway.schedules = [link()], [alert()]
    account.gateway.refusal = (404, "I don't know where to reach you in 'telegram'. Write to me there once first.")
    await account.open()
    await account.page.get_by_label("Told in").select_option("Telegram")

    await expect(account.page.locator("#schedule-note")).to_contain_text("Write to me there once first.")
    await expect(account.page.get_by_label("Told in")).to_have_value("web")


async def test_an_app_that_is_linked_meanwhile_can_be_chosen_at_once(account: Account) -> None:
    account.gateway.requests_, account.gateway.schedules = [request()], [alert()]
    await account.open()
    options = account.page.get_by_label("Told in").locator("option")
    await expect(options).to_have_text(["Web page"])
    await account.press("Confirm")

    await expect(options).to_have_text(["Web page", "Telegram"])


async def test_one_is_deleted_by_the_keyboard_after_a_second_yes(account: Account) -> None:
    account.gateway.schedules = [alert(), task()]
    await account.open()
    await account.page.get_by_role("button", name="Delete “BTC below 50,000.5”").press("Enter")
    await expect(account.page.get_by_role("button", name="Keep")).to_be_focused()
    await account.page.keyboard.press("Shift+Tab")
    await account.page.keyboard.press("Enter")

    await expect(account.page.locator("#schedule-list .link")).to_have_count(1)
    await expect(account.page.get_by_label("Told in")).to_be_focused()
    assert account.gateway.changes == ["DELETE /api/v1/schedules/s1"]
    await account.page.get_by_role("button", name="Delete “portfolio review”").press("Enter")
    await account.press("Delete “portfolio review” now")
    await expect(account.page.get_by_text("There is no alert and no task.")).to_be_focused()


async def test_one_that_rests_says_why(account: Account) -> None:
    account.gateway.schedules = [task(state="paused"), alert(3, reason="There are no prices of it.")]
    await account.open()

    rows = account.page.locator("#schedule-list .link")
    await expect(rows.first).to_contain_text("Paused: Your Dexorder licence has expired.")
    await expect(rows.last).to_contain_text("There are no prices of it.")


@pytest.mark.parametrize("text", [HOSTILE, "\u202egpj.exe", "x" * 90])
async def test_whatever_a_task_says_is_shown_as_text_and_fits_a_phone(account: Account, text: str) -> None:
    account.gateway.schedules = [task(text=text)]
    await account.page.set_viewport_size(PHONE)
    await account.open()

    await expect(account.page.locator("#schedule-list strong")).to_have_text(text.replace("\u202e", ""))
    assert await account.page.locator("main img").count() == 0
    assert await account.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
