"""Long answers become messages of a channel's size. Source: DESIGN.md, channels; Bot API: 4096 UTF-16 units a message."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_app.richtext import telegram_html, visible_text
from channels_app.text import split_html, utf16_units

WORDS = st.sampled_from(
    ["word ", " ", "\n", "\n\n", "```python\n", "\n```\n", "    ", "😀", "e\u0301", "&amp;", "<", "`", "**", "*", "~~", "> ",
     "\n- ", "\n1. ", "\n    ```\n", "# ", "[site](https://x.y/?a=1&b=2)", "x" * 70]
)  # fmt: skip
TABLE = "| day | close |\n|---|---|\n" + "".join(f"| {day} | {day * 1.5} |\n" for day in range(40))
TEXTS = st.lists(WORDS | st.text(max_size=5), max_size=120).map("".join).map(telegram_html)
LIMITS = st.integers(min_value=64, max_value=300)


class Styled(HTMLParser):
    """Each character that is shown, with the tags around it."""

    def __init__(self, *parts: str) -> None:
        super().__init__()
        self.characters: list[tuple[str, tuple[str, ...]]] = []
        self.balanced = True
        for part in parts:
            self.open: list[str] = []
            self.feed(part)
            self.close()
            self.balanced = self.balanced and not self.open
            self.reset()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(str((tag, attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.balanced = self.balanced and tag in self.open.pop()

    def handle_data(self, data: str) -> None:
        self.characters.extend((character, tuple(self.open)) for character in data)


@given(TEXTS, LIMITS)
def test_no_part_shows_more_than_the_limit(html: str, limit: int) -> None:
    assert all(0 < utf16_units(visible_text(part)) <= limit for part in split_html(html, limit=limit))


@given(TEXTS, LIMITS)
def test_the_parts_show_every_character_as_the_whole_did(html: str, limit: int) -> None:
    parts = list(split_html(html, limit=limit))

    assert Styled(*parts).balanced
    assert Styled(*parts).characters == Styled(html).characters


@given(st.text())
def test_units_are_those_of_utf16(text: str) -> None:
    assert utf16_units(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


def test_a_short_text_is_one_part() -> None:
    assert list(split_html("Hello, <b>AI</b> &amp; you!", limit=4096)) == ["Hello, <b>AI</b> &amp; you!"]


def test_an_empty_text_has_no_part() -> None:
    assert list(split_html("", limit=64)) == []


def test_a_text_is_cut_between_paragraphs_rather_than_between_words() -> None:
    first, second = "a few words " * 4, "some more words " * 3

    assert list(split_html(f"{first}\n\n{second}", limit=80)) == [f"{first}\n\n", second]


def test_emphasis_that_must_be_cut_goes_on_in_the_next_part() -> None:
    words = "important " * 10

    parts = list(split_html(telegram_html(f"**{words}*end***"), limit=64))

    assert parts == [f"<b>{'important ' * 6}</b>", f"<b>{'important ' * 4}<i>end</i></b>"]


@pytest.mark.parametrize("indent", ["", "    ", "        "])
def test_code_that_must_be_cut_is_code_with_its_language_in_every_part(indent: str) -> None:
    lists = {"": "", "    ": "1. Step\n\n", "        ": "1. Step\n    - Part\n\n"}[indent]
    code = "".join(f"{indent}line {number} of the code\n" for number in range(6))

    parts = list(split_html(telegram_html(f"{lists}{indent}```python\n{code}{indent}```\n\n**After**"), limit=64))

    assert len(parts) > 1
    assert ["line" in part for part in parts] == ['<pre><code class="language-python">' in part for part in parts]
    assert parts[-1].endswith("<b>After</b>")
    assert "`" not in "".join(parts)


def test_code_is_kept_whole_when_the_text_before_it_can_be_a_part() -> None:
    before, code = "words " * 9 + "\n\n", "<pre><code>" + "code\n\n" * 6 + "</code></pre>"

    assert list(split_html(before + code, limit=80)) == [before, code]


def test_every_part_of_a_table_has_its_head_and_its_columns() -> None:
    parts = list(split_html(telegram_html(TABLE), limit=200))

    assert len(parts) == 3
    assert all(part.startswith("<pre>day | close\n----+------\n") and part.endswith("</pre>") for part in parts)
    rows = "".join(
        part.removeprefix("<pre>").removesuffix("</pre>")[len("day | close\n----+------\n") :] for part in parts
    )
    assert rows.splitlines() == [f"{day:<3} | {day * 1.5}" for day in range(40)]


def test_a_head_that_would_fill_the_part_is_not_repeated() -> None:
    parts = list(split_html(telegram_html(TABLE), limit=64))

    assert "".join(map(visible_text, parts)) == visible_text(telegram_html(TABLE))


def test_a_word_longer_than_the_limit_is_cut_between_characters() -> None:
    assert list(split_html("😀" * 50, limit=64)) == ["😀" * 32, "😀" * 18]


def test_a_limit_without_room_for_words_is_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        list(split_html("text", limit=63))
