"""A setting that can't be used is told in a sentence, whatever command is run. Source: a newcomer's first hour."""

from collections.abc import Iterator

import pytest

from gateway.tests.e2e.processes import Deployment, deployment


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment whose database is never reached."""
    folder = tmp_path_factory.mktemp("refused") / "settings"
    with deployment(folder, "postgresql://nobody@127.0.0.1:1/none") as made:
        yield made


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "abc", "PORT must be a number from 0 to 65535"),
        ("PORT", "99999", "PORT must be a number from 0 to 65535"),
        ("DEBUG", "maybe", "DEBUG must be true or false."),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of: INFO"),
        ("DATABASE_URL", "postgresql://me:hunter2@host:x/db", "DATABASE_URL must be a postgresql:// URL"),
        ("DATABASE_URL", "hunter2", "DATABASE_URL must be a postgresql:// URL"),
        ("DATABASE_URL", "postgresql://nobody:hunter2@127.0.0.1:1/none", "The database can't be used: "),
    ],
)
def test_a_setting_that_can_not_be_used_is_named_in_a_sentence(
    nowhere: Deployment, name: str, value: str, told: str
) -> None:
    command = Deployment(nowhere.folder, nowhere.environment | {name: value}, started=nowhere.started).manage("up")

    assert command.ended() == 1
    assert told in command.printed()
    assert "Traceback" not in command.printed()
    assert "hunter2" not in command.printed()


@pytest.mark.parametrize(("folder", "why"), [("/proc/nope", "No such file"), ("/etc/passwd", "it is no folder")])
def test_a_folder_that_can_not_be_had_is_named_with_the_setting(nowhere: Deployment, folder: str, why: str) -> None:
    own = nowhere.environment | {"DATABASE_URL": "", "DATA_DIR": folder}
    command = Deployment(nowhere.folder, own, started=nowhere.started).manage("migrate")

    assert command.ended() == 1
    assert f"{folder} can't be made or used ({why}" in command.printed()
    assert "set DATA_DIR to a folder" in command.printed()
    assert "Traceback" not in command.printed()
