"""Messages that wait across a change of releases. Source: docs/operations.md: two releases run side by side for a while."""

import json

from channels_app.channels import File, Inbound
from channels_app.inbox_rows import read, written

PLAIN = Inbound(
    external_id="1:1", sender="7", content="Look", target={"chat": 7, "message": 1}, files=(File("a.md", "place"),)
)
LOOSE = Inbound(external_id="1:2", sender="7", content=None, target={}, album="m", aside={"chat": 1}, loose=True)
# The fields of the release before `loose` and `opened`, whose reader takes no others and needs `files`.
EARLIER = {
    "external_id", "sender", "content", "target", "name", "address", "thread", "files", "kind", "album", "aside",
}  # fmt: skip


def test_an_earlier_release_reads_what_is_written() -> None:
    message = json.loads(json.dumps(written(PLAIN)))

    assert set(message) <= EARLIER
    assert {"external_id", "sender", "content", "target", "files", "thread"} <= set(message)
    assert set(message["files"][0]) <= {"name", "place", "spoken", "order"}


def test_what_is_written_is_read_as_it_was() -> None:
    for inbound in (PLAIN, LOOSE):
        assert read(json.loads(json.dumps(written(inbound)))) == inbound


def test_what_only_a_later_release_knows_is_left_out() -> None:
    message = written(PLAIN) | {"unheard_of": 1, "files": [{"name": "a.md", "place": "place", "pages": 3}]}

    assert read(message) == PLAIN
