"""No secret reaches a log."""

import subprocess
import sys

import pytest

from gateway.logs import REDACTED, redact, without_secrets


@pytest.mark.parametrize(
    "text",
    [
        "https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJkZW1vLXBybyJ9.c2lnbmF0dXJl",
        "Authorization: Bearer abcdefghijklmnop",
        "sk-ant-api03-abcdefghijkl",
        "postgresql://gateway:hunter2@db/dexorder",
        "redis://:hunter2@cache:6379/0",
        "AIzaSyAbcdefghijklABCDEFGHIJKL0123456789",
    ],
)
def test_what_has_the_shape_of_a_secret_is_redacted(text: str) -> None:
    event = redact(None, "info", {"event": "x", "detail": text})

    assert REDACTED in event["detail"]
    assert not any(secret in event["detail"] for secret in ("AAHdq", "c2lnbmF", "abcdefghijkl", "hunter2", "AIzaSy"))


@pytest.mark.parametrize("key", ["token", "bot_token", "api_key", "password", "Authorization", "ticket"])
def test_what_is_named_like_a_secret_is_redacted(key: str) -> None:
    assert redact(None, "info", {key: "anything"})[key] == REDACTED


def test_counts_of_tokens_and_ordinary_words_stay() -> None:
    event = {"input_tokens": 12, "event": "turn_done", "turn": "019aaf6e-0000-7000-8000-000000000000"}

    assert redact(None, "info", dict(event)) == event


def test_secrets_are_redacted_at_any_depth_of_json_and_its_original_stays() -> None:
    details = {"limits": {"tokens_per_month": 5}, "seen": [{"api_key": "x"}, "redis://:hunter2@cache"], "n": None}

    cleaned = without_secrets(details)

    assert cleaned == {
        "limits": {"tokens_per_month": 5},
        "seen": [{"api_key": REDACTED}, f"redis://{REDACTED}@cache"],
        "n": None,
    }
    assert details["seen"] == [{"api_key": "x"}, "redis://:hunter2@cache"]


PROGRAM = """
import logging
from gateway.logs import configure
configure(debug={debug}, level="DEBUG")
try:
    raise ValueError("https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage")
except ValueError:
    logging.getLogger("library").exception("it broke")
"""


@pytest.mark.parametrize("debug", [True, False], ids=["for people", "as JSON"])
def test_what_has_the_shape_of_a_secret_is_redacted_in_a_traceback(debug: bool) -> None:
    program = [sys.executable, "-c", PROGRAM.format(debug=debug)]
    printed = subprocess.run(program, capture_output=True, text=True, check=True).stderr

    assert "ValueError" in printed
    assert "AAHdq" not in printed.replace(PROGRAM, "")


def test_what_postgresql_quotes_of_a_row_is_redacted() -> None:
    said = "duplicate key value violates a constraint\nDETAIL:  Key (content)=(Sell all I have) already exists.\nHINT:  None."

    told = redact(None, "", {"exception": said})["exception"]
    assert told == f"duplicate key value violates a constraint\nDETAIL:  {REDACTED}\nHINT:  None."
