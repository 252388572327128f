"""Options of `search` that say who is searched for and where."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from personsearch.cli.options import Variant, cbgm_settings
from personsearch.errors import ConfigError

if TYPE_CHECKING:
    from personsearch.gallery import Where
    from personsearch.hits import Query, Shots

Also = Annotated[
    list[str] | None, typer.Option("--also", help="Another picture of the same person, a crop or FILE#N for person N in it; repeatable.")
]
Not = Annotated[
    list[str] | None,
    typer.Option("--not", help="Picture of somebody else, who looks alike, a crop or FILE#N; people nearer to it are dropped; repeatable."),
]
CombineOption = Annotated[
    Literal["mean", "best"],
    typer.Option("--combine", help="With --also: the mean of the pictures is the query, or the best of them counts."),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="KEY=VALUE",
        help="Part of the gallery to search: folder=, image=, start=, end= (seconds), min_score=, min_height= (pixels); repeatable.",
    ),
]
SearchRerank = Annotated[
    Literal["cbgm", "k-reciprocal", "query-expansion"] | None,
    typer.Option("--rerank", help="Re-rank by the people around the query, by mutual neighbours, or with the best people added to it."),
]
SceneFilterOption = Annotated[
    Literal["gfn"] | None, typer.Option("--scene-filter", help="Multiply by GFN's score of each scene; needs a model with GFN.")
]
MinSceneScore = Annotated[
    float | None, typer.Option("--min-scene-score", help="With --scene-filter: leave out the scenes below this score.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; this command always does.")]

NUMBERS = ("start", "end", "min_score", "min_height")
TEXTS = ("folder", "image")


def query_of(first: "Query", also: list[str] | None, others: list[str] | None, combine: Literal["mean", "best"]) -> "Query | Shots":
    """The query of the command line: one picture, or several with negatives.

    Raises:
        ConfigError: A picture's number is not a whole number of at least 1.
    """
    from personsearch.hits import Query

    if not also and not others:
        return first
    return Query.of([first, *map(_picture, also or [])], negatives=[_picture(text) for text in others or []], combine=combine)


def where_of(conditions: list[str] | None) -> "Where | None":
    """The part of the gallery that --where names; folder and image may be repeated.

    Raises:
        ConfigError: A condition is malformed, unknown, or given twice.
        QueryError: A value is out of range.
    """
    from personsearch.gallery import Where

    if not conditions:
        return None
    texts: dict[str, list[str]] = {}
    numbers: dict[str, float] = {}
    for condition in conditions:
        name, separator, value = condition.partition("=")
        key = name.strip().replace("-", "_")
        if not separator or key not in (*TEXTS, *NUMBERS):
            raise ConfigError(f"--where must be KEY=VALUE with {', '.join((*TEXTS, *NUMBERS))} as KEY, got {condition!r:.80}")
        if key in TEXTS:
            texts.setdefault(key, []).append(value)
        elif key in numbers:
            raise ConfigError(f"--where {key}= is given twice; give it once")
        else:
            numbers[key] = _number(key, value)
    return Where(**texts, **numbers)  # type: ignore[arg-type]  # the keys are those of Where


def rerank_of(name: str | None, cbgm: str | None, variant: Variant | None) -> Any:
    """The value of `rerank=` that the options name.

    Raises:
        ConfigError: Options of CBGM with another way to re-rank, or a malformed pair.
    """
    if name in (None, "cbgm"):
        settings = cbgm_settings("cbgm" if name else None, [] if cbgm is None else [cbgm], variant)
        return settings[0] if settings else None
    if cbgm is not None or variant is not None:
        raise ConfigError(f"--cbgm and --cbgm-variant belong to --rerank cbgm, not to {name}")
    return name


def scene_filter_of(name: Literal["gfn"] | None, min_scene_score: float | None) -> Any:
    """The value of `scene_filter=` that the options name.

    Raises:
        ConfigError: --min-scene-score without --scene-filter, or out of range.
    """
    from personsearch.ranking import GFN

    if name is None and min_scene_score is not None:
        raise ConfigError("--min-scene-score belongs to --scene-filter gfn; pass both")
    return None if name is None else GFN(min_scene_score)


def _picture(text: str) -> "Query":
    """A picture of --also or --not: a file, or FILE#N where no file of that whole name exists."""
    from personsearch.hits import Query

    path, separator, number = text.rpartition("#")
    if separator and path and number.isdecimal() and not Path(text).exists():
        return Query(path, person=int(number))
    return Query(text)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"--where {name}= must be a number, got {text!r:.80}") from error
