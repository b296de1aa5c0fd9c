"""The forms of names, labels and quantities.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/, …/labels/ and
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from provisioning.tests.cluster.kinds import Object

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_QUANTITY = re.compile(r"(?P<number>[+-]?(\d+(\.\d*)?|\.\d+))(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")

_MALFORMED = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

# Fields that hold amounts of resources by name.
_AMOUNTS = frozenset({"limits", "requests", "hard", "capacity"})

# All annotations of an object together.
MOST_ANNOTATION_BYTES = 256 * 1024

_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def dns_label(text: str) -> bool:
    return len(text) <= 63 and bool(_LABEL.fullmatch(text))


def dns_subdomain(text: str) -> bool:
    return len(text) <= 253 and bool(_SUBDOMAIN.fullmatch(text))


def qualified_name(text: str) -> bool:
    """A label's key: a name, perhaps after the DNS subdomain of who defines it."""
    prefix, slash, name = text.rpartition("/")
    if slash and not dns_subdomain(prefix):
        return False
    return len(name) <= 63 and bool(_QUALIFIED.fullmatch(name))


def label_value(text: str) -> bool:
    return text == "" or (len(text) <= 63 and bool(_QUALIFIED.fullmatch(text)))


def quantity(text: str | int | float) -> Decimal:
    """`500m` is 0.5, `1Gi` 1073741824. Raises ValueError."""
    found = _QUANTITY.fullmatch(str(text))
    if not found:
        raise ValueError(_MALFORMED)
    number, suffix = Decimal(found["number"]), found["suffix"] or ""
    if suffix in _BINARY:
        return number * Decimal(1024 ** _BINARY[suffix])
    if suffix in _SUFFIXES:
        return number.scaleb(_SUFFIXES[suffix])
    return number.scaleb(int(suffix[1:]))


def wrong_quantities(tree: Any) -> Iterator[str]:
    """What the decoder says of each amount of a resource that has not the form."""
    if isinstance(tree, list):
        for item in tree:
            yield from wrong_quantities(item)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            if name in _AMOUNTS and isinstance(value, dict):
                yield from (_MALFORMED for amount in value.values() if not _QUANTITY.fullmatch(str(amount)))
            else:
                yield from wrong_quantities(value)


def metadata_problems(metadata: Object) -> Iterator[tuple[str, str]]:
    """What is wrong with labels and annotations: (field, why)."""
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    yield from label_problems("metadata.labels", labels)
    for key in annotations:
        if not qualified_name(key.lower()):
            yield "metadata.annotations", f'Invalid value: "{key}": name part must consist of alphanumeric characters'
    size = sum(len(key.encode()) + len(str(value).encode()) for key, value in annotations.items())
    if size > MOST_ANNOTATION_BYTES:
        yield "metadata.annotations", f"Too long: may not be more than {MOST_ANNOTATION_BYTES} bytes"


def label_problems(path: str, labels: Object) -> Iterator[tuple[str, str]]:
    for key, value in labels.items():
        if not qualified_name(key):
            yield path, f"Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.'"
        if not label_value(str(value)):
            yield (
                path,
                f'Invalid value: "{value}": a valid label must be an empty string or consist of alphanumeric characters',
            )
