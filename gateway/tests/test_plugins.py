"""A folder is the plug-in list. Source: STYLE, habit 1."""

import sys
from pathlib import Path

import pytest

from gateway.plugins import load_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "some_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("class Plugin:\n    def __init__(self, name):\n        self.name = name\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("some_plugins")]:
        monkeypatch.delitem(sys.modules, name)
    return package


def add(folder: Path, module: str, text: str) -> None:
    (folder / f"{module}.py").write_text("from some_plugins import Plugin\n" + text)


def load() -> dict[str, object]:
    import some_plugins  # type: ignore[import-not-found]

    return dict(load_folder("some_plugins", constant="PLUGIN", kind=some_plugins.Plugin))


def test_every_module_is_loaded_by_its_name_in_alphabetical_order(folder: Path) -> None:
    add(folder, "b", "PLUGIN = Plugin('b')")
    add(folder, "a", "PLUGIN = Plugin('a')")
    add(folder, "_helper", "")

    assert list(load()) == ["a", "b"]


def test_a_name_taken_twice_fails_the_start(folder: Path) -> None:
    add(folder, "a", "PLUGIN = Plugin('same')")
    add(folder, "b", "PLUGIN = Plugin('same')")

    with pytest.raises(ValueError, match="same"):
        load()


def test_a_broken_module_fails_the_start(folder: Path) -> None:
    add(folder, "a", "import no_such_module")

    with pytest.raises(ModuleNotFoundError):
        load()


def test_a_module_without_its_constant_fails_the_start(folder: Path) -> None:
    add(folder, "a", "")

    with pytest.raises(TypeError, match="PLUGIN"):
        load()
