"""Fixtures of the sign-in tests."""

from collections.abc import Iterator

import pytest

from accounts.tests.signing_in import SITE, Person, person_at


@pytest.fixture
def person() -> Iterator[Person]:
    """Somebody with a browser, who comes from SITE."""
    with person_at(SITE) as somebody:
        yield somebody
