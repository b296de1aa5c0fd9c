"""Long answers become messages of a channel's size. Source: DESIGN.md, channels; Bot API: 4096 UTF-16 units a message."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_app.text import split_pieces, split_text, utf16_units

WORDS = st.sampled_from(
    [
        "word",
        " ",
        "\n",
        "\n\n",
        "```",
        "```python\n",
        "\n```\n",
        "~~~",
        "````",
        "   ```",
        "😀",
        "e\u0301",
        "|",
        "`",
        "x" * 70,
        "> ",
    ]
)
TEXTS = st.one_of(st.text(), st.lists(WORDS, max_size=120).map("".join))
LIMITS = st.integers(min_value=64, max_value=300)
FENCE_LINE = re.compile(r"^ {0,3}(`{3,8}|~{3,8})([^`\n]*)$")


def open_fence(text: str) -> str:
    """The marks of a fence that is open at the end of `text`, by CommonMark's rules; "" = none."""
    marks = ""
    for line in text.split("\n"):
        found = FENCE_LINE.match(line)
        if found is None:
            continue
        if not marks:
            marks = found[1]
        elif found[1].startswith(marks) and not found[2].strip():
            marks = ""
    return marks


@given(TEXTS, LIMITS)
def test_no_part_is_longer_than_the_limit(text: str, limit: int) -> None:
    assert all(utf16_units(part) <= limit for part in split_text(text, limit=limit))


@given(TEXTS, LIMITS)
def test_the_pieces_joined_are_the_text(text: str, limit: int) -> None:
    assert "".join(piece for _, piece, _ in split_pieces(text, limit=limit)) == text


@given(TEXTS, LIMITS)
def test_no_part_ends_inside_a_fence(text: str, limit: int) -> None:
    assert [part for part in split_text(text, limit=limit) if open_fence(part)] == []


@given(TEXTS)
def test_units_are_those_of_utf16(text: str) -> None:
    assert utf16_units(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


def test_a_short_text_is_one_part() -> None:
    assert list(split_text("Hello, AI!", limit=4096)) == ["Hello, AI!"]


def test_an_empty_text_has_no_part() -> None:
    assert list(split_text("", limit=64)) == []


def test_a_text_is_cut_between_paragraphs_rather_than_between_words() -> None:
    first, second = "a few words " * 4, "some more words " * 3

    assert list(split_text(f"{first}\n\n{second}", limit=80)) == [f"{first}\n\n", second]


def test_a_fence_that_must_be_cut_is_closed_and_opened_again_with_its_language() -> None:
    code = "".join(f"line {number} of the code\n" for number in range(6))

    parts = list(split_text(f"```python\n{code}```\n", limit=100))

    assert len(parts) > 1
    assert all(part.startswith("```python\n") and part.rstrip().endswith("\n```") for part in parts)
    assert "".join(part.removeprefix("```python\n").rstrip("`\n") + "\n" for part in parts) == code


def test_a_fence_is_kept_whole_when_the_text_before_it_can_be_a_part() -> None:
    before, code = "words " * 9 + "\n", "```\n" + "code\n" * 8 + "```\n"

    assert list(split_text(before + code, limit=80)) == [before, code]


def test_a_word_longer_than_the_limit_is_cut_between_characters() -> None:
    assert list(split_text("😀" * 50, limit=64)) == ["😀" * 27, "😀" * 23]


def test_a_limit_without_room_for_a_fence_is_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        list(split_text("text", limit=63))
