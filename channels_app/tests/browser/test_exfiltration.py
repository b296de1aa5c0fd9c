"""Nothing that a model, a tool or a stranger writes runs a script, leads anywhere by itself, or asks anybody for anything.

The browser reaches every host but the gateway's through a proxy of the test's, which counts who comes.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from playwright.async_api import Error as BrowserError

from channels_app.tests.browser.conftest import DESKTOP, Chat, watching
from channels_app.tests.browser.everything import show_everything
from channels_app.tests.browser.gateway_double import GatewayDouble
from channels_app.tests.browser.test_markdown import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

EVIL = "https://evil.test"
UNSEEN = (
    "\x1b[31mred\x1b]8;;https://evil.test\x07link\x1b\\ \N{RIGHT-TO-LEFT OVERRIDE}gnp.exe "
    "\N{LEFT-TO-RIGHT ISOLATE}isolated\N{POP DIRECTIONAL ISOLATE} z\N{ZERO WIDTH SPACE}ero "
    "\N{TAG LATIN CAPITAL LETTER A}tag \x07bell"
)
MORE = [
    f"![a][x] [b][x]\n\n[x]: {EVIL}/reference.png 'title'",
    f'<svg><image href="{EVIL}/svg.png"/><use href="{EVIL}/use.svg#a"/></svg> <video poster="{EVIL}/poster.png">',
    f'<link rel="dns-prefetch" href="{EVIL}"> <meta http-equiv="refresh" content="0;url={EVIL}"> <a ping="{EVIL}/ping">',
    f"$$\\href{{javascript:document.title='owned'}}{{x}}$$ \\includegraphics{{{EVIL}/tex.png}} url({EVIL}/css.png)",
    "{{constructor.constructor('document.title=1')()}} ${document.title='owned'} <%= 1 %> {name} {count}",
    UNSEEN,
    # The same as character references, which markdown decodes after the text was cleaned.
    "&#x202e;gnp.exe &#8238;x &#8203;zero &ZeroWidthSpace;zero &#x1b;[31mred &#xE0041;tag &shy;hyphen &#7;bell",
    "[a](data:image/svg+xml;base64,PHN2Zy8+) ![b](data:image/svg+xml,<svg/onload=alert(1)>) <data:text/html,x>",
    f"![*a*](<{EVIL}/angle.png>) ![a]( {EVIL}/space.png ) ![]({EVIL}/empty.png) [![x]]({EVIL}) ![x][]\n\n[*x*]: {EVIL}/y.png",
    f'<object data="{EVIL}/o"></object><embed src="{EVIL}/e"><audio src="{EVIL}/a" autoplay><source srcset="{EVIL}/s.png">',
    f"<math><mtext><mglyph><style><img src={EVIL}/m.png></style></math><template><img src={EVIL}/t.png></template>",
    f"[a]({EVIL}\u202e/gnp.exe) [b](https:\\\\evil.test) [c](https://user:pass@evil.test) <{EVIL}/\u200b>",
]
IMAGES = [
    f"{EVIL}/image.png",
    "//evil.test/protocol-relative.png",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='document.title=1'/>",
    "javascript:document.title='owned'",
    "blob:https://evil.test/1",
    "http://evil.test\\@127.0.0.1/x.png",
]
# What no shown text may hold, and none that is read out or shown on hovering; tabs and newlines aside.
CONTROLS = r"""nodes => {
  const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b\u202a-\u202e\u2060-\u2069\ufeff]|[\u{e0000}-\u{e007f}]/u;
  const told = (node) => [node.children.length ? "" : node.textContent,
    ...["title", "aria-label", "alt", "placeholder", "href"].map((name) => node.getAttribute(name) ?? "")];
  return nodes.filter((node) => told(node).some((text) => unseen.test(text)))
    .map((node) => `${node.parentElement.className} > ${node.className}`);
}"""


class Outside:
    """Everybody but the gateway: a proxy that answers nobody and counts all."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readline()).decode())
        writer.close()


@pytest_asyncio.fixture(loop_scope="session")
async def outside() -> AsyncIterator[Outside]:
    """The rest of the world."""
    async with Outside() as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(chromium: Browser, gateway: GatewayDouble, outside: Outside) -> AsyncIterator[Chat]:
    """A page whose way to the rest of the world is counted."""
    proxy = {"server": f"http://127.0.0.1:{outside.port}", "bypass": "127.0.0.1"}
    context = await chromium.new_context(viewport=DESKTOP, locale="en-GB", proxy=proxy)  # type: ignore[arg-type]
    chat = Chat(await context.new_page(), gateway)
    with watching(chat):
        yield chat
    await context.close()


async def test_hostile_words_in_every_place_run_nothing_and_ask_nobody(guarded: Chat, outside: Outside) -> None:
    everything = "\n\n".join([*HOSTILE, *MORE])
    await show_everything(guarded, everything, answer=everything, images=IMAGES)
    turns = guarded.page.locator("#turns")
    await expect(guarded.turn(1)).to_have_attribute("data-state", "done")
    for tool in await turns.locator("details.tool summary").all():
        await tool.click()
    for link in await turns.locator("a").all():
        await link.hover()
    await expect(guarded.page.locator(".talk")).to_have_count(2)

    assert guarded.problems == []
    assert outside.asked == []
    assert await guarded.page.title() == "Dexorder chat"
    found = await turns.locator("a").evaluate_all("nodes => [...new Set(nodes.map((node) => node.protocol))]")
    assert set(found) <= {"http:", "https:"}
    assert (
        await guarded.page.locator(
            "main :is(script, iframe, img, object, embed, style, link, form[action], base)"
        ).count()
        == 0
    )
    assert await guarded.page.locator("#turns *, #side *, #bottom *").evaluate_all(CONTROLS) == []


async def test_the_world_outside_would_have_been_counted(guarded: Chat, outside: Outside) -> None:
    with pytest.raises(BrowserError):
        await guarded.page.goto(EVIL.replace("https", "http"))

    assert "evil.test" in outside.asked[0]
