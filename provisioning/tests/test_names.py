"""Workspace names: DESIGN, section 7, and the demand that a hostile user id changes nothing but a hashed name."""

import base64
import hashlib
import re

import pytest

from provisioning.names import workspace_name

HOSTILE = ["../../etc/passwd", "a\x00b", "użytkownik 💥", "x" * 10_000, "--data=/", "", "\ud800", "A/B\n", "$(reboot)"]


def test_a_name_is_thirteen_base32_characters_of_the_hash() -> None:
    digest = hashlib.sha256(b"demo-pro").digest()

    assert workspace_name("demo-pro") == "ws-" + base64.b32encode(digest).decode()[:13].lower()


@pytest.mark.parametrize("user_id", HOSTILE)
def test_any_user_id_gives_a_dns_label(user_id: str) -> None:
    assert re.fullmatch(r"ws-[a-z2-7]{13}", workspace_name(user_id))


def test_different_users_have_different_names() -> None:
    assert len({workspace_name(user_id) for user_id in HOSTILE}) == len(HOSTILE)
