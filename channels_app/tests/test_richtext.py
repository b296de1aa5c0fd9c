"""A model's markdown as Telegram's HTML. Source: Bot API, HTML style: its tags, what they may hold, what must be escaped."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_app.richtext import telegram_html, visible_text

ALLOWED = {"a", "b", "blockquote", "code", "i", "pre", "s"}
MARKUP = st.sampled_from(
    ["*", "**", "_", "~~", "`", "```", "\n", "\n\n", "# ", "- ", "1. ", "> ", "| ", " |\n", "|---|---|\n", "    ", "---\n",
     "[", "](", ")", "https://x.y", "javascript:x", "<b>", "</pre>", "&", "&amp;", "&nbsp;", "\\", "!", "<script>", '"']
)  # fmt: skip
WORDS = st.integers(min_value=0, max_value=10**6).map(lambda number: f"w{number}w")


class Tags(HTMLParser):
    """The tags of an HTML text; what is open, what was ever seen, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.entities: set[str] = set()
        self.nested = True
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "blockquote" and tag in self.open:
            self.nested = False
        self.open.append(tag)
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.nested = False

    def handle_entityref(self, name: str) -> None:
        self.entities.add(name)


@given(st.lists(MARKUP | WORDS | st.text(), max_size=60).map("".join))
def test_whatever_is_written_becomes_html_that_telegram_can_read(markdown: str) -> None:
    tags = Tags(telegram_html(markdown))

    assert tags.nested
    assert tags.open == []
    assert {name for name, _ in tags.seen} <= ALLOWED
    assert tags.entities <= {"lt", "gt", "amp", "quot"}


@given(st.lists(MARKUP | WORDS | st.text(), max_size=60).map("".join))
def test_every_link_leads_to_the_web(markdown: str) -> None:
    links = [attributes["href"] for name, attributes in Tags(telegram_html(markdown)).seen if name == "a"]

    assert all((link or "").startswith(("http://", "https://")) for link in links)


MARKS = ["*", "**", "~~", "`", "\n", "\n\n", "\n# ", "\n- ", "\n1. ", "\n> ", "\n\n---\n\n", " "]


@given(st.lists(st.tuples(st.sampled_from(MARKS), WORDS), max_size=40))
def test_no_word_is_lost(pieces: list[tuple[str, str]]) -> None:
    html = telegram_html("".join(mark + word for mark, word in pieces))

    position = 0
    for _, word in pieces:
        position = visible_text(html).index(word, position) + len(word)


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**bold**, *italic*, ~~gone~~", "<b>bold</b>, <i>italic</i>, <s>gone</s>"),
        ("## Heading\n\ntext", "<b>Heading</b>\n\ntext"),
        ("1 < 2 & 3 > 2", "1 &lt; 2 &amp; 3 &gt; 2"),
        ("`a<b`", "<code>a&lt;b</code>"),
        ("```python\nx = 1\n```", '<pre><code class="language-python">x = 1</code></pre>'),
        ("```\nx = 1", "<pre><code>x = 1</code></pre>"),
        ("[site](https://x.y/?a=1&b=2)", '<a href="https://x.y/?a=1&amp;b=2">site</a>'),
        ("[mail](mailto:a@b.c)", "mail"),
        ("![chart](https://x.y/chart.png)", "chart"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("- one\n- two\n  - three", "• one\n• two\n\u00a0\u00a0• three"),
        ("3. one\n4. two", "3. one\n4. two"),
        ("0. none\n1. one", "0. none\n1. one"),
        ("> a\n> > b", "<blockquote>a\n\nb</blockquote>"),
        ("a&nbsp;b", "a\u00a0b"),
    ],
)
def test_markdown_becomes_telegrams_tags(markdown: str, html: str) -> None:
    assert telegram_html(markdown) == html


def test_a_table_becomes_aligned_columns() -> None:
    html = telegram_html("| day | close |\n|---|--:|\n| Monday | **1.5** |\n| 日 | 12 |")

    assert html == "<pre>day    | close\n-------+------\nMonday |   1.5\n日     |    12</pre>"


def test_a_table_that_would_be_mostly_space_has_no_columns() -> None:
    html = telegram_html("| a | b |\n|---|---|\n" + "| x | y |\n" * 50 + f"| {'long' * 100} | z |\n")

    assert html.startswith("<pre>a | b\n--+--\nx | y\n")
    assert len(html) < 1000


def test_a_text_that_nests_too_deeply_is_shown_as_it_is() -> None:
    markdown = ">" * 60 + " hello"

    assert visible_text(telegram_html(markdown)) == markdown
