"""Options of a model, the base class of all groups of options, and the check of options from a file."""

from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from personsearch.errors import ConfigError, PersonSearchError

Backend: TypeAlias = Literal["auto", "torch", "onnx"]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]

SHOWN = 5  # number of mistakes that one message names


class Settings(BaseModel):
    """A group of options: unknown fields are errors, and values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
        return schema.model_validate_json(values) if isinstance(values, str | bytes) else schema.model_validate(values)
    except ValidationError as mistakes:
        raise error(f"{source}: {explain(mistakes)}") from mistakes


def explain(error: ValidationError) -> str:
    """The first `SHOWN` mistakes as text, such as `images[3].boxes[0]: what is wrong, got what`, joined by semicolons."""
    mistakes = error.errors(include_url=False)
    lines = []
    for mistake in mistakes[:SHOWN]:
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in mistake["loc"]).lstrip(".")
        shown = "" if mistake["type"] in ("missing", "value_error", "json_invalid") else f", got {mistake['input']!r:.60}"
        lines.append(f"{field + ': ' if field else ''}{mistake['msg'].removeprefix('Value error, ')}{shown}")
    more = len(mistakes) - SHOWN
    return "; ".join(lines) + (f" (and {more} more mistakes)" if more > 0 else "")
