"""Settings come from the environment or a file. Source: DESIGN section 10."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from gateway import env


def test_a_value_is_read_from_the_file_that_its_name_with_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("secret\n")
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "key"))

    assert env.text("SOME_KEY") == "secret"


def test_a_value_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "a")
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "key"))

    with pytest.raises(ImproperlyConfigured):
        env.text("SOME_KEY")


def test_a_file_that_is_missing_stops_the_start_without_naming_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "missing"))

    with pytest.raises(ImproperlyConfigured) as refused:
        env.text("SOME_KEY")

    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(("word", "value"), [("true", True), ("1", True), ("Off", False), ("no", False), ("", True)])
def test_a_flag_is_one_of_the_usual_words(word: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_FLAG", word)

    assert env.flag("SOME_FLAG", default=True) is value


def test_a_word_that_is_no_flag_or_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME", "maybe")

    with pytest.raises(ImproperlyConfigured):
        env.flag("SOME")
    with pytest.raises(ImproperlyConfigured):
        env.number("SOME", 1)


def test_another_database_engine_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured):
        env.database("sqlite:////tmp/db")


@pytest.mark.parametrize(
    "url", ["redis://:secret@cache.example:6379/0", "rediss://cache.example", "unix:///run/valkey", ""]
)
def test_an_address_of_redis_is_taken_as_it_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_URL", url)

    assert env.redis("SOME_URL") == url


@pytest.mark.parametrize("url", ["garbage", "secret@cache.example:6379", "http://cache.example"])
def test_any_other_address_stops_the_start_without_being_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_URL", url)

    with pytest.raises(ImproperlyConfigured) as refused:
        env.redis("SOME_URL")

    assert url not in str(refused.value)


def test_every_setting_of_the_environment_is_listed_in_the_example() -> None:
    read = (env.ROOT / "gateway" / "settings.py").read_text()
    listed = (env.ROOT / ".env.example").read_text()
    names = {
        part.split('"')[1]
        for part in read.split("env.")[1:]
        if part.startswith(("text(", "flag(", "number(", "port(", "one_of(", "words(", "redis("))
    }

    assert names
    assert {name for name in names if f"{name}=" not in listed} == set()
