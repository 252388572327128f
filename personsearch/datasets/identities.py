"""Who is who in a user's own annotations: the field that names a person, and its values as numbers."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from personsearch.datasets.people import UNLABELLED
from personsearch.datasets.problems import Problems
from personsearch.errors import excerpt

IDENTITY = "person_id"
NONE = "none"  # in place of a field: all people are unlabelled
ATTRIBUTES = "attributes"  # where annotation tools such as CVAT write what is not COCO's
ID_LIKE = re.compile(r"(.*[_\- ])?(id|identity|pid|reid|track|trackid|personid|person|name)|.*(Id|ID)", re.ASCII)
COCO_FIELDS = ("id", "image_id", "category_id")
LARGEST = 2**62  # identities beyond it are treated as names

Row = Mapping[str, Any]


def find_field(rows: Sequence[Row], wanted: str | None, problems: Problems) -> str:
    """The field with the identities: `wanted`, or `person_id` of the annotations or of their attributes.

    Another field that looks like an identity, or two of them, is a problem that asks for a choice.

    Args:
        rows: Annotations of people.
        wanted: Field that the user named, such as "track_id" or "attributes.track_id"; None: not named; "none": no identities.
        problems: Mistakes are added here.
    """
    fields = Counter(name for row in rows for name in _names(row))
    if wanted == NONE:
        return ""
    if wanted is not None:
        name = wanted.removeprefix(f"{ATTRIBUTES}.")
        if rows and not any(field.removeprefix(f"{ATTRIBUTES}.") == name for field in fields):
            problems.add(f"field {wanted!r:.60} that no person has", f"there are {_listed(fields) or 'no other fields'}")
        return name
    candidates = Counter({name: count for name, count in fields.items() if ID_LIKE.fullmatch(name.removeprefix(f"{ATTRIBUTES}."))})
    if IDENTITY not in candidates and candidates and set(candidates) != {f"{ATTRIBUTES}.{IDENTITY}"}:
        first = next(iter(candidates))
        problems.add(
            f"people without {IDENTITY}, but with fields that may name them; pass one with --identity (in Python: identity={first!r:.60})",
            _listed(candidates),
        )
    return IDENTITY


def numbered(rows: Iterable[Row], places: Iterable[str], field: str, problems: Problems) -> list[int]:
    """The identity of each annotation as a number; names get numbers after the largest, in their order.

    Null, negative and empty values, and a missing field, are unlabelled. 12, 12.0 and "12" are the same person.

    Args:
        rows: Annotations of people.
        places: Where each annotation is in its file, for messages.
        field: Field with the identity, in the annotation or in its attributes.
        problems: Mistakes are added here.
    """
    values = []
    for row, place in zip(rows, places, strict=True):
        attributes = row.get(ATTRIBUTES)
        inner = attributes.get(field) if isinstance(attributes, Mapping) else None
        raw = row[field] if row.get(field) is not None else inner
        value = _identity(raw)
        if value is None:
            problems.add(f"{field} that is neither a whole number nor a name", f"{place} has {excerpt(raw)}")
        values.append(UNLABELLED if value is None else value)
    names = sorted({value for value in values if isinstance(value, str)})
    after = 1 + max((value for value in values if isinstance(value, int)), default=UNLABELLED)
    numbers = {name: after + number for number, name in enumerate(names)}
    return [numbers[value] if isinstance(value, str) else value for value in values]


def _identity(raw: Any) -> int | str | None:
    """A number, -1 for unlabelled people, or a name; None for other values."""
    if raw is None:
        return UNLABELLED
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, str):
        text = raw.strip()
        if not re.fullmatch(r"[+-]?\d{1,18}(\.0+)?", text, re.ASCII):
            return text or UNLABELLED
        raw = int(text.partition(".")[0])
    if not isinstance(raw, int) or isinstance(raw, bool):
        return None
    if raw > LARGEST:
        return f"{raw:x}"
    return max(raw, UNLABELLED)


def _names(row: Row) -> list[str]:
    """Fields of an annotation, those of its attributes with `attributes.` before them."""
    attributes = row.get(ATTRIBUTES)
    inner = [f"{ATTRIBUTES}.{name}" for name in attributes] if isinstance(attributes, Mapping) else []
    return [*(name for name in row if name not in COCO_FIELDS), *inner]


def _listed(fields: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r:.60} ({count} people)" for name, count in list(fields.items())[:8])
