"""Options that several commands share, and how their text is read."""

import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from personsearch.errors import ConfigError, shown

if TYPE_CHECKING:
    from personsearch.ranking import CBGM

PICTURES = (".png", ".jpg", ".jpeg")  # extensions of a picture to write

# Typer reads these types when a command starts. They repeat those of `options` and `ranking`, which load pydantic and NumPy.
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
Variant: TypeAlias = Literal["paper", "authors"]

Device = Annotated[str, typer.Option(help='"auto", "cpu", "cuda" or "cuda:1".')]
Model = Annotated[str | None, typer.Option(help="Model folder, a name that `personsearch models` lists, or hf:org/name@revision.")]
PrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="Number format of a single-network model; below float32 it is faster and less exact.")
]
TilesOption = Annotated[
    str | None,
    typer.Option("--tiles", help="ROWS,COLUMNS of overlapping tiles to search beside the whole picture: smaller people, more time."),
]
MinScore = Annotated[float | None, typer.Option(help="Score below which people are dropped; by default the model's own threshold.")]
Sources = Annotated[list[str], typer.Argument(help="Folders, glob patterns, pictures or videos, or one gallery.")]
GalleryAt = Annotated[str | None, typer.Option(help="Folder or URI of the gallery; by default a folder in PERSONSEARCH_HOME.")]
Every = Annotated[int | None, typer.Option(help="Step between the frames of a video; by default the gallery's own, all in a new one.")]
RerankOption = Annotated[
    Literal["cbgm"] | None, typer.Option("--rerank", help="Re-rank by the people around the query, with --cbgm 30,4 by default.")
]
CBGMVariant = Annotated[
    Variant | None,
    typer.Option(help="Variant of CBGM: paper (Algorithm 1, the default) or authors (as their code computes published numbers)."),
]
ConfidenceWeighted = Annotated[bool | None, typer.Option(help="Rank by cosine x score, or not; by default as the model's paper does.")]


def cbgm_settings(rerank: Literal["cbgm"] | None, pairs: list[str], variant: Variant | None) -> list["CBGM"]:
    """The settings of CBGM that --rerank, --cbgm and --cbgm-variant name; none without the first two.

    Raises:
        ConfigError: a pair is malformed or out of range, or only the variant is given.
    """
    from personsearch.ranking import CBGM

    if rerank is None and not pairs and variant is not None:
        raise ConfigError("--cbgm-variant needs --rerank cbgm or --cbgm K1,K2")
    if not pairs:
        return [] if rerank is None else [CBGM(variant=variant or CBGM.variant)]
    return [CBGM(*_pair(pair, "--cbgm must be K1,K2"), variant or CBGM.variant) for pair in pairs]


def open_searcher(model: str | None, device: str, precision: Precision = "float32", tiles: str | None = None) -> Any:
    """A `PersonSearcher` for one command."""
    from personsearch.memory import keep_freed_memory
    from personsearch.searcher import PersonSearcher

    keep_freed_memory()
    parts = None if tiles is None else _pair(tiles, "--tiles must be ROWS,COLUMNS")
    return PersonSearcher.from_pretrained(model, device=device, precision=precision, tiles=parts)


def check_output(option: str, path: Path) -> None:
    """Make the folder of a file to write, and check that the file can be written, before work that may take long.

    Raises:
        ConfigError: It cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        exists = path.exists()
        with path.open("ab"):
            pass
        if not exists:
            path.unlink()
    except (OSError, ValueError) as error:
        name = str(path) if len(str(path)) <= 100 else f"{str(path)[:40]}...{str(path)[-50:]}"
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{option} {name!r} cannot be written ({reason}); choose another name or folder") from error


def one_or_list(sources: list[str]) -> str | list[str]:
    """Sources of the command line as Python takes them: one alone is not a list, because it may be a gallery."""
    return sources[0] if len(sources) == 1 else sources


def say(message: str) -> None:
    """Print a message to stderr, unless --quiet was given; stdout is for data."""
    if not _Messages.quiet:
        typer.echo(shown(message, lines=True), err=True)  # names of files in it are from strangers


class _Messages:
    """What the options of all commands chose."""

    quiet = False


def set_up_messages(context: typer.Context, *, verbose: bool, quiet: bool) -> None:
    """Choose what a command prints on stderr: the package's log from INFO, WARNING or ERROR on, messages, and progress bars."""
    _Messages.quiet = quiet
    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    log, handler = logging.getLogger("personsearch"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    level_before, filters_before = log.level, list(warnings.filters)
    log.addHandler(handler)
    log.setLevel(level)

    def restore() -> None:
        log.removeHandler(handler)
        log.setLevel(level_before)
        warnings.filters[:] = filters_before  # type: ignore[index]
        _Messages.quiet = False

    context.call_on_close(restore)
    if quiet:
        warnings.simplefilter("ignore")


def shows_progress() -> bool | None:
    """The value of `progress=`: none with --quiet, else only on a terminal."""
    return False if _Messages.quiet else None


def _pair(text: str, rule: str) -> tuple[int, int]:
    try:
        first, second = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{rule}, two whole numbers, got {text!r}") from error
    return first, second
