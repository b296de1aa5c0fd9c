"""Documents: recognised by content, cut into passages, found by words with their place, erased for good."""

from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.client import Client

from mcp_server.documents.passages import OVERLAP_CHARACTERS, PASSAGE_CHARACTERS, cut_rows, cut_text
from mcp_server.documents.reading import MOST_BYTES, Content, read_document
from mcp_server.errors import BadDocument, BadQuery
from mcp_server.storage.database import FILE_NAME, Database
from mcp_server.storage.documents import MOST_DOCUMENTS, Documents, Found
from mcp_server.tests.harness import USER, call, refusal
from mcp_server.tests.jobs_in_place import JobsInPlace
from mcp_server.tests.pdfs import encrypted, pdf

MARKDOWN = "# Rules\n\nNever risk more than one percent.\n\n# Fees\n\nThe broker takes two dollars a trade.\n"
CSV = "date,ticker,amount\n2025-01-02,SPX,10\n2025-01-03,IXIC,-5\n"


def read(content: bytes) -> Content:
    return read_document(content, JobsInPlace())


def find(documents: Documents, query: str, *, limit: int = 5) -> list[Found]:
    return list(documents.passages(documents.matching(query, limit=limit)).values())


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (pdf("Fund report"), "pdf"),
        (b"junk before\n" + pdf("Fund report"), "pdf"),
        (MARKDOWN.encode(), "markdown"),
        (b"- one\n- two\n", "markdown"),
        (b"See [the rules](rules.md).", "markdown"),
        (CSV.encode(), "csv"),
        (CSV.replace(",", ";").encode("utf-16"), "csv"),
        (b"a\tb\n1\t2\n", "csv"),
        (b"Bought at 10, sold at 12.\nA good day, all in all, I think.", "text"),
        ("Verlustbegrenzung für Überflieger".encode("cp1252"), "text"),
        (b"\xef\xbb\xbfPlain", "text"),
    ],
)
def test_the_type_is_seen_from_the_content(content: bytes, kind: str) -> None:
    assert read(content).kind == kind


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b" \n ", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "neither a PDF nor text"),
        (b"PK\x03\x04\x00\x00", "neither a PDF nor text"),
        (encrypted(pdf("Secret"), password="s3cret"), "encrypted"),
        (pdf(""), "only pictures"),
        (pdf("Fund report")[:200], "damaged"),
        (b"%PDF-1.7 and then nonsense", "damaged"),
        (pdf(*["x"] * 2001), "2001 pages"),
        (b"a" * (MOST_BYTES + 1), "at most 3000000"),
    ],
)
def test_what_can_not_be_read_is_refused_and_says_why(content: bytes, told: str) -> None:
    with pytest.raises(BadDocument, match=told):
        read(content)


def test_a_pdf_that_is_only_locked_against_changes_is_read() -> None:
    assert read(encrypted(pdf("Fund report"), password="")).passages[0].text == "Fund report"


def test_a_pdf_is_never_parsed_outside_the_sandbox() -> None:
    jobs = JobsInPlace()

    read_document(pdf("Fund report"), jobs)
    read_document(CSV.encode(), jobs)

    assert [job.entry for job in jobs.ran] == ["mcp_server.jobs.documents:run"]


def test_a_passage_of_a_pdf_tells_its_page() -> None:
    pages = ["Nothing here"] * 6 + ["The management fee\nis two percent"]
    passages = read(pdf(*[page + "\n" + "filler words " * 80 for page in pages])).passages

    fee = next(passage for passage in passages if "management fee" in passage.text)
    assert fee.page == 7


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 30))
def test_no_word_of_a_text_is_lost(words: str, times: int) -> None:
    text = f"{words}\n\n{words} " * times
    passages = cut_text(text)

    assert set("".join(text.split())) == set("".join("".join(each.text.split()) for each in passages))
    assert all(len(each.text) <= PASSAGE_CHARACTERS + OVERLAP_CHARACTERS + 200 for each in passages)
    lines = text.split("\n")
    for passage in passages:
        assert passage.text.split("\n")[0].split(" ")[0][:1] in lines[passage.line - 1]


def test_a_passage_repeats_the_end_of_the_one_before() -> None:
    sentences = [f"Sentence number {number} says something about risk and reward." for number in range(60)]
    passages = cut_text(" ".join(sentences))

    assert len(passages) > 3
    for one, other in pairwise(passages):
        repeated = [sentence for sentence in sentences if sentence in one.text and sentence in other.text]
        assert repeated


def test_every_passage_of_a_csv_file_has_its_heading() -> None:
    rows = [f"2025-01-{day:02},SPX,{day}" for day in range(1, 29)] * 10
    passages = cut_rows("date,ticker,amount\n" + "\n".join(rows))

    assert len(passages) > 3
    assert {passage.text.split("\n")[0] for passage in passages} == {"date,ticker,amount"}
    assert [row for passage in passages for row in passage.text.split("\n")[1:]] == rows
    assert passages[1].line == len(passages[0].text.split("\n")) + 1


@pytest.mark.parametrize(
    "hostile", ["[" * 1_000_000, "\n \t" * 500_000, "a" * 2_900_000, "|" * 2_900_000, "#" * 999_999]
)
@pytest.mark.timeout(100)
def test_a_text_made_to_be_slow_is_read_in_time(hostile: str) -> None:
    read(b"x" + hostile.encode())


def test_a_document_of_the_same_name_is_replaced_whole(database: Database) -> None:
    documents = Documents(database)
    documents.save("notes", MARKDOWN.encode(), read(MARKDOWN.encode()))

    documents.save("notes", CSV.encode(), read(CSV.encode()))

    assert [(each.name, each.kind, each.passages) for each in documents.all()] == [("notes", "csv", 1)]
    assert find(documents, "broker") == []
    assert find(documents, "IXIC")[0].passage.line == 2


def test_the_best_passage_comes_first(database: Database) -> None:
    documents = Documents(database)
    documents.save("a", MARKDOWN.encode(), read(MARKDOWN.encode()))
    documents.save("b", b"The broker is friendly.", read(b"The broker is friendly."))

    found = find(documents, "broker dollars")

    assert [each.document for each in found] == ["a", "b"]
    with pytest.raises(BadQuery):
        documents.matching("?!", limit=5)


def test_a_deleted_document_leaves_no_trace_in_the_folder(tmp_path: Path) -> None:
    database = Database(tmp_path, user=USER)
    documents = Documents(database)
    secret = b"The passphrase is xylophone-marmalade"
    documents.save("secret", secret, read(secret))
    documents.save("other", b"Something else", read(b"Something else"))

    assert documents.delete("secret")

    assert not any(b"marmalade" in file.read_bytes() for file in tmp_path.glob(f"{FILE_NAME}*"))
    assert not documents.delete("secret")
    assert len(find(documents, "something")) == 1
    database.close()


def test_there_is_a_most_of_documents(database: Database) -> None:
    documents = Documents(database)
    content = read(b"x")
    for number in range(MOST_DOCUMENTS):
        documents.save(str(number), b"x", content)

    documents.save("7", b"x", content)
    with pytest.raises(BadDocument, match="Delete some first"):
        documents.save("one more", b"x", content)


async def test_documents_through_the_server(client: Client) -> None:
    content = base64.b64encode(MARKDOWN.encode()).decode()
    added = await call(client, "add_document", name=" Rules.pdf ", content_base64=content)
    assert (added["name"], added["kind"], added["pages"], added["passages"]) == ("Rules.pdf", "markdown", None, 1)
    assert (await call(client, "list_documents"))["documents"] == [added]

    found = (await call(client, "search_documents", query="fees of the broker"))["passages"]
    assert [(each["document"], each["page"], each["line"]) for each in found] == [("Rules.pdf", None, 1)]

    assert (await call(client, "delete_document", name="Rules.pdf"))["deleted"] is True
    assert (await call(client, "delete_document", name="Rules.pdf"))["deleted"] is False
    assert (await call(client, "search_documents", query="broker"))["passages"] == []


async def test_a_pdf_through_the_server_is_read_in_the_sandbox(client: Client) -> None:
    for number, (content, told) in enumerate(
        [(pdf("Fund report", "The fee is two percent"), ""), (encrypted(pdf("x"), password="p"), "encrypted")]
    ):
        arguments = {"name": f"report {number}", "content_base64": base64.b64encode(content).decode()}
        if told:
            assert told in await refusal(client, "add_document", **arguments)
        else:
            assert (await call(client, "add_document", **arguments))["pages"] == 2

    found = (await call(client, "search_documents", query="fee"))["passages"]
    assert [(each["document"], each["page"]) for each in found] == [("report 0", 2)]
    await call(client, "delete_document", name="report 0")


async def test_what_is_not_base64_is_refused(client: Client) -> None:
    assert "is not base64" in await refusal(client, "add_document", name="x", content_base64="äöü$")
    assert "at most 4000000" in await refusal(client, "add_document", name="x", content_base64="A" * 4_000_001)
