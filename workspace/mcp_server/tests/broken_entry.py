"""An entry that can't be imported."""

from json import nothing  # type: ignore[attr-defined]  # noqa: F401 - that is its fault
