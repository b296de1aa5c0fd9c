"""Identifiers: UUID version 7 (RFC 9562), which sort by the time they were made."""

import uuid

import uuid_utils.compat


def new_uuid() -> uuid.UUID:
    """A new UUIDv7, for a model's primary key."""
    return uuid_utils.compat.uuid7()


def new_id() -> str:
    """A new UUIDv7 in its canonical text form."""
    return str(new_uuid())


def is_id(value: str) -> bool:
    """Whether `value` is a UUID in canonical text form, so that it may be looked up."""
    try:
        return str(uuid.UUID(value)) == value
    except ValueError:
        return False
