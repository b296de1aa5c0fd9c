"""Names that people give themselves elsewhere, shown to others."""

import unicodedata

MAX_NAME_CHARS = 64


def shown_name(text: str) -> str:
    """A name in one line of at most 64 characters, without what is invisible or turns the direction of what follows."""
    kept = "".join(each if unicodedata.category(each)[0] not in {"C", "Z"} else _gap(each) for each in text)
    return " ".join(kept.split())[:MAX_NAME_CHARS].rstrip()


def _gap(character: str) -> str:
    """White space stays white space; controls, format characters, surrogates and private ones go."""
    return " " if character.isspace() else ""
