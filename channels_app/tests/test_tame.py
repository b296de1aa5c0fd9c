"""What a model writes may be rendered by whom we do not know. Source: docs/channels.md, `text`."""

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels_app.channels import Button
from channels_app.channels.webhook import CHANNEL
from channels_app.tame import is_tame, tame

PIECES = (
    "![", "[", "]", "(", ")", "](", "javascript:x", "http://a", "<", "img>", "<div>", "`", "``", "\\", "\n", "\n\n", "> ",
    "- ", "    ", "|", "!", "[r]: ", "data:", "]: ", "&lt;", "text", "```", "~~", "*", "&#33;", "\t", "<!--", "-->", "\r",
    "\x0b", "\u2028",
)  # fmt: skip


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("![chart](https://e.example/x.png)", "[chart](https://e.example/x.png)"),
        ("Look![a](http://e/x)", "Look[a](http://e/x)"),
        ("![a][r]\n\n[r]: http://e/x.png", "[a][r]\n\n[r]: http://e/x.png"),
        ("![r]\n\n[r]: data:image/png;base64,AA", "[r]\n\n[r]: <>"),
        ("[x](javascript:alert(1))", "[x](<>)"),
        ('[x](java&#115;cript:a "title")', '[x](<> "title")'),
        ("[x](data:text/html,1) [y](tg://resolve?domain=a)", "[x](<>) [y](<>)"),
        ("[x](//e.example)", "[x](<>)"),
        ("[go][r]\n\n[r]: <javascript:a>", "[go][r]\n\n[r]: <>"),
        ("<tg://resolve?domain=a>", "\\<tg://resolve?domain=a>"),
        ("a <b>bold</b> <!-- c --> 1 < 2", "a \\<b>bold\\</b> \\<!-- c --> 1 < 2"),
        ("<div>\n![x](http://e)\n</div>", "\\<div>\n[x](http://e)\n\\</div>"),
        ("| a |\n|---|\n| ![x](http://e) |", "| a |\n|---|\n| [x](http://e) |"),
        ("> ![x](http://e)\r\n> <img src=x>", "> [x](http://e)\n> \\<img src=x>"),
        ("[a]:\njavascript:x\n\n[a]", "```\n[a]:\njavascript:x\n\n[a]\n```"),
        ("> " * 60 + "![x](http://e)", "```\n" + "> " * 60 + "![x](http://e)\n```"),
    ],
)
def test_nothing_loads_and_no_link_leads_elsewhere_than_the_web_or_mail(written: str, shown: str) -> None:
    assert tame(written) == shown


@pytest.mark.parametrize(
    "written",
    [
        "# RSI\n\n**61.8** of [SPX](https://e.example/a_(b)), [mail](mailto:a@b.example), <https://e.example>, <a@b.example>",
        "| a | b |\n|:--|--:|\n| ~~1~~ | 2 |\n\n- [ ] one\n- two! [1](HTTP://e)",
        "```rust\nvec![1]\n<T>\n```\n\n    ![code](x)\n\n`![a](b)` and `` <T> ``",
        "1 < 2, a \\![b] \\<c>",
    ],
)
def test_what_is_harmless_stays_as_it_was_written(written: str) -> None:
    assert tame(written) == written


def test_code_stays_as_it_was_written_beside_what_does_not() -> None:
    code = "```rust\nvec![1](x)\n```\n`<T>` and `![a](b)`"

    assert tame(f"{code}\n![q](http://b)") == f"{code}\n[q](http://b)"


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join) | st.text(max_size=60))
def test_whatever_is_written_what_comes_out_is_harmless(written: str) -> None:
    assert is_tame(tame(written))


@pytest.mark.parametrize("piece", ["`", "![", "](", "](\n", "[a](((", "<a:", "<", "`a ``", "[r]: x\n", "![a](data:x) "])
def test_a_hostile_text_of_twice_the_length_takes_twice_the_steps(piece: str) -> None:
    short, long = (lines_run("![a](http://b)\n" + piece * (size // len(piece))) for size in (400, 800))

    assert long < 2.5 * short


def lines_run(written: str) -> int:
    """How many lines of Python it takes, which no load of the machine changes; what an expression does within is not seen."""
    before, lines = sys.gettrace(), 0

    def count(_frame: FrameType, event: str, _of: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    sys.settrace(count)
    try:
        tame(written)
    finally:
        sys.settrace(before)
    return lines


def test_a_callback_is_given_it_so_whatever_is_shown() -> None:
    hostile = "![x](http://e/?secret)"
    preview = CHANNEL.preview(hostile) or {}
    parts = [*CHANNEL.compose(hostile), preview, *CHANNEL.ask(hostile, [Button("Yes", "t")])]

    assert [part["text"] for part in parts] == ["[x](http://e/?secret)"] * 3
