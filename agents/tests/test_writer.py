"""Events as JSON text. Source: DESIGN, Protocol: JSON text frames."""

import json

from agents.events import Token, ToolProgress
from agents.writer import encode


def test_a_number_that_json_does_not_know_becomes_null() -> None:
    frame = json.loads(encode(ToolProgress(call="c", progress=float("nan"), total=float("inf")), "t", "v"))

    assert (frame["progress"], frame["total"]) == (None, None)


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    text = encode(Token(content="a\ud83d"), "t", "v")

    assert json.loads(text.encode())["content"] == "a?"
