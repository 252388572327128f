"""Options of a model, the base class of all groups of options, and the check of options and JSON from a file."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from personsearch.errors import ConfigError, PersonSearchError, excerpt

Backend: TypeAlias = Literal["auto", "torch", "onnx"]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
Side: TypeAlias = Annotated[int, Field(ge=1, le=8192)]  # pixels of a network's input
Tiles: TypeAlias = Annotated[int, Field(ge=1, le=32)]  # along one side of a picture

SHOWN = 5  # number of mistakes that one message names
SHORTENED, LONGEST = 60, 600  # characters of a key, and of a sentence, in a message
DEEPEST = 50  # lists and objects inside one another in a JSON file; the package's own files have fewer than 10
TOO_DEEP = f"has more than {DEEPEST} lists and objects inside one another; write it again"


class Settings(BaseModel):
    """A group of options: unknown fields are errors, numbers are finite, and values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Schema = TypeVar("Schema", bound=BaseModel)


def parse(schema: type[Schema], values: Any, source: str | Path, *, error: type[PersonSearchError] = ConfigError) -> Schema:
    """Check values from a file or a user.

    Args:
        schema: Class with the fields that `values` must have.
        values: Dict, or JSON as text or bytes.
        source: File or option that the values come from, named in the error.
        error: Class of the error.

    Raises:
        PersonSearchError: A field is unknown, missing or out of range, or the JSON is malformed; the class is `error`.
    """
    try:
        if isinstance(values, str | bytes):
            return schema.model_validate_json(_decoded(values, source, error))
        return schema.model_validate(values)
    except ValidationError as mistakes:
        raise error(f"{source}: {explain(mistakes)}") from mistakes


def from_json(content: str | bytes, source: str | Path, *, error: type[PersonSearchError] = ConfigError) -> Any:
    """The value of a JSON text, with finite or infinite numbers and at most `DEEPEST` levels.

    Args:
        content: Text, or the bytes of a file: UTF-8, UTF-16 or UTF-32, with a byte order mark or without.
        source: File or option that the text comes from, named in the error.
        error: Class of the error.

    Raises:
        PersonSearchError: The text is not JSON, or nested too deeply; the class is `error`.
    """
    try:
        value = json.loads(_decoded(content, source, error))
    except ValueError as mistake:
        raise error(f"{source} is not JSON ({mistake})") from mistake
    except RecursionError as mistake:
        raise error(f"{source} {TOO_DEEP}") from mistake
    level = [value]
    for _ in range(DEEPEST):
        level = [child for item in level if isinstance(item, dict | list) for child in (item.values() if isinstance(item, dict) else item)]
        level = [child for child in level if isinstance(child, dict | list)]
        if not level:
            return value
    raise error(f"{source} {TOO_DEEP}")


def _decoded(content: str | bytes, source: str | Path, error: type[PersonSearchError]) -> str:
    """The text of JSON in any of its encodings, without a byte order mark."""
    try:
        text = content if isinstance(content, str) else content.decode(json.detect_encoding(content))
        text.encode()  # half of a surrogate pair, which no file name and no message can hold
    except UnicodeError as mistake:
        raise error(f"{source} is not JSON: it is not UTF-8 or UTF-16 text ({mistake!s:.150}); save it as UTF-8") from mistake
    return text.removeprefix("\ufeff")


def explain(error: ValidationError) -> str:
    """The first `SHOWN` mistakes as text, such as `images[3].boxes[0]: what is wrong, got what`, joined by semicolons."""
    mistakes = error.errors(include_url=False)
    lines = []
    for mistake in mistakes[:SHOWN]:
        field = "".join(_step(part) for part in mistake["loc"]).lstrip(".")
        got = "" if mistake["type"] in ("missing", "value_error", "json_invalid") else f", got {excerpt(mistake['input'])}"
        lines.append(f"{field + ': ' if field else ''}{mistake['msg'].removeprefix('Value error, '):.{LONGEST}}{got}")
    more = len(mistakes) - SHOWN
    return "; ".join(lines) + (f" (and {more} more mistakes)" if more > 0 else "")


def _step(part: int | str) -> str:
    """One part of the way to a field; a key that is not a plain name is quoted and shortened."""
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if len(part) < SHORTENED and part.isprintable() else f".{part!r:.{SHORTENED}}"
