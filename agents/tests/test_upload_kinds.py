"""What a file is, by its content. Source: the formats' own signatures; docs/tools.md, add_document and import_bars."""

import pytest

from agents.upload_kinds import is_bars, kind_of, name_of, symbol_of, text_of

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20
ZIP = b"PK\x03\x04" + bytes(range(60))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, ("picture", "image/png")),
        (b"\xff\xd8\xff\xe0JFIF", ("picture", "image/jpeg")),
        (b"RIFF\x0a\x00\x00\x00WEBPVP8 ", ("picture", "image/webp")),
        (b"RIFF\x0a\x00\x00\x00WAVEfmt ", None),
        (b"<svg onload=alert(1)>", ("text", "text/plain")),
        (b"%PDF-1.7\n\x00\x01", ("pdf", "application/pdf")),
        (b"junk before it\n%PDF-1.7\n\x00", ("pdf", "application/pdf")),
        (b"# Rules\n\nBuy low.", ("text", "text/plain")),
        ("Größe".encode(), ("text", "text/plain")),
        ("Größe".encode("cp1252"), ("text", "text/plain")),
        ("Größe".encode("utf-16"), ("text", "text/plain")),
        (b"\xff\xfe\x41", None),
        (ZIP, None),
        (b"MZ\x00\x00", None),
        (b" \n ", None),
        (b"", None),
    ],
)
def test_the_kind_is_seen_from_the_content(content: bytes, kind: tuple[str, str] | None) -> None:
    assert kind_of(content) == kind


def test_a_mark_of_byte_order_is_no_part_of_the_text() -> None:
    assert text_of(b"\xef\xbb\xbfdate,open") == "date,open"


@pytest.mark.parametrize(
    ("heading", "bars"),
    [
        ("date,open,high,low,close,volume", True),
        ("Timestamp;Open;High;Low;Close", True),
        ('"Date"\t"Open"\t"High"\t"Low"\t"Close"', True),
        ("date,close", False),
        ("Open positions are high, low or close.", False),
        ("", False),
    ],
)
def test_prices_are_known_by_their_heading(heading: str, bars: bool) -> None:
    assert is_bars(f"{heading}\n2024-01-02,1,2,1,2") is bars


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("AAPL.csv", "AAPL"),
        ("btc-usd daily (1).csv", "BTC-USD_DAILY_1"),
        ("brk.b.csv", "BRK.B"),
        ("gold", "GOLD"),
        ("金.csv", ""),
        ("x" * 40 + ".csv", "X" * 32),
    ],
)
def test_a_symbol_is_made_of_the_files_name(name: str, symbol: str) -> None:
    assert symbol_of(name) == symbol


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("C:\\Users\\me\\notes.md", "notes.md"),
        ("../../etc/passwd", "passwd"),
        ("fdp.\u202eexe\x00.pdf", "fdp.exe.pdf"),
        ("a\nb.txt", "a b.txt"),
        ("", "file"),
        ("/", "file"),
        ("x" * 300 + ".pdf", "x" * 116 + ".pdf"),
    ],
)
def test_a_name_is_one_line_that_says_what_it_seems_to_say(given: str, shown: str) -> None:
    assert name_of(given) == shown
