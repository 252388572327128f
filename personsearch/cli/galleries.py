"""The `galleries` commands: list, info, people, remove, export and delete."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from personsearch.cli.options import check_output, say
from personsearch.cli.tables import print_table
from personsearch.errors import ConfigError, GalleryError, shown
from personsearch.home import replace_file

if TYPE_CHECKING:
    from personsearch.gallery import Gallery, GalleryInfo

app = typer.Typer(help="List, describe, export and delete galleries.", no_args_is_help=True)

Named = Annotated[
    str, typer.Argument(metavar="GALLERY", help="Folder or URI of a gallery, its name in the list, or the source that it was made of.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
NS, KIB = 10**9, 1024
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@app.command("list")
def list_galleries(as_json: AsJson = False) -> None:
    """List the galleries in PERSONSEARCH_HOME with their sizes and what they were made with."""
    from personsearch.gallery import describe, stored_galleries

    lines: list[dict[str, Any]] = []
    for location in stored_galleries():
        try:
            lines.append(_plain(describe(location)))
        except GalleryError as error:
            lines.append({"location": location, "error": str(error)})
    if as_json:
        typer.echo(json.dumps(lines, indent=2))
        return
    if not lines:
        say("no galleries yet; personsearch index SOURCE makes one")
        return
    rows = [(Path(line["location"]).name, *(["damaged", *[""] * 6] if "error" in line else _cells(line))) for line in lines]
    print_table(("gallery", "people", "images", "not looked at", "size", "indexed", "model", "source"), rows)


@app.command()
def info(gallery: Named, as_json: AsJson = False) -> None:
    """Describe one gallery: people, images, size, model, options and sources. A source may have one for each model."""
    from personsearch.gallery import describe, galleries_of

    found = [_plain(describe(location)) for location in galleries_of(gallery)]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for number, facts in enumerate(found):
        if number:
            typer.echo()
        not_looked = [f"{name}: {reason}" for name, reason in facts["not_looked"].items()]
        lists = {"sources": _lines(facts["sources"], "not known"), "not_looked": _lines(not_looked, "nothing")}
        for name, value in (facts | {"size": _size(facts["bytes"])} | lists).items():
            if name not in ("bytes", "fingerprint"):
                typer.echo(f"{name}: {'not known' if value is None else shown(value, lines=True)}")


@app.command()
def remove(
    gallery: Named,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Pictures and videos whose people are removed from the disk.")],
    row: Annotated[int | None, typer.Option(help="Remove one person only: `row` of a hit.")] = None,
    frame: Annotated[int, typer.Option(help="With --row: `frame` of the hit.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Remove pictures, videos or one person from a gallery; the data is gone from the disk, the pictures themselves stay."""
    opened = _one(gallery)
    if row is not None and len(images) != 1:
        raise ConfigError(f"--row names a person of one image, got {len(images)} images; give one")
    if row is None:
        count = opened.remove(*images)
    else:
        opened.remove_person(images[0], row, frame)
        count = 1
    left = len(opened)
    _done({"gallery": opened.location, "removed": count, "people": left}, f"removed {count} people, {left} left", as_json=as_json)


@app.command()
def delete(
    galleries: Annotated[list[str], typer.Argument(metavar="GALLERY...", help="Galleries, by folder, URI, name in the list or source.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete whole galleries from the disk; the pictures that they were made of stay."""
    from personsearch.gallery import galleries_of

    locations = list(dict.fromkeys(location for one in galleries for location in galleries_of(one)))
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"deleting {', '.join(locations)} needs a yes, and no one can be asked here; pass --yes")
        for location in locations:
            say(location)
        typer.confirm("Delete these galleries?", abort=True, err=True)
    for location in locations:
        _delete(location)
    _done({"deleted": locations}, "\n".join(f"deleted {location}" for location in locations), as_json=as_json)


@app.command()
def export(
    gallery: Named,
    out: Annotated[Path, typer.Argument(help="The .csv, .json or .parquet file to write.")],
    embeddings: Annotated[bool, typer.Option("--embeddings", help="Write the embeddings too; they are biometric features.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the people of a gallery to a file: image, frame, row, time, box and score of each."""
    suffix = out.suffix.lower()
    if suffix not in (".csv", ".json", ".parquet"):
        raise ConfigError(f"OUT must end with .csv, .json or .parquet, got {str(out)[-100:]}")
    opened = _one(gallery)
    check_output("OUT", out)
    if suffix == ".csv":
        opened.to_csv(out, embeddings=embeddings)
    else:
        table = opened.to_arrow() if embeddings else opened.to_arrow().drop_columns("embedding")
        if suffix == ".parquet":
            from pyarrow import parquet

            unfinished = out.with_name(f".{out.name}.new")
            parquet.write_table(table, unfinished)
            unfinished.replace(out)
        else:
            replace_file(out, json.dumps(table.to_pylist(), indent=1))
    _done({"file": str(out), "people": len(opened)}, f"wrote {len(opened)} people to {out}", as_json=as_json)


@app.command()
def people(
    gallery: Named,
    min_similarity: Annotated[float | None, typer.Option(help="Mean cosine from which two groups are one person.")] = None,
    min_images: Annotated[int, typer.Option(help="Leave out people seen in fewer pictures or frames.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every place, instead of text.")] = False,
) -> None:
    """Who is in a gallery: its people grouped by appearance, the most often seen first."""
    opened = _one(gallery)
    groups = [one for one in opened.cluster(min_similarity=min_similarity) if one.scenes >= min_images]
    if as_json:
        typer.echo(json.dumps([one.to_dict() for one in groups], indent=2))
        return
    rows = [(str(one.number), str(len(one)), str(one.scenes), _span(one), f"{one.cohesion:.2f}", one[0].image) for one in groups]
    print_table(("person", "seen", "scenes", "time", "cohesion", "for example"), rows)


def _span(person: Any) -> str:
    times = [one.time for one in person if one.time is not None]
    return f"{min(times):.1f} to {max(times):.1f} s" if times else ""


def _one(name: str) -> "Gallery":
    """The gallery that a name means.

    Raises:
        ConfigError: A source has several, of several models.
    """
    from personsearch.gallery import Gallery, galleries_of

    locations = galleries_of(name)
    if len(locations) > 1:
        raise ConfigError(f"{name} has {len(locations)} galleries; name one of them:\n" + "\n".join(locations))
    return Gallery.open(locations[0])


def _delete(location: str) -> None:
    """Delete a gallery; a damaged one that lies in PERSONSEARCH_HOME too."""
    import shutil

    from personsearch.gallery import Gallery, stored_galleries

    try:
        Gallery.open(location).delete()
    except GalleryError:
        if location not in stored_galleries():
            raise
        shutil.rmtree(location)


def _done(facts: dict[str, Any], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(facts) if as_json else shown(text, lines=True))


def _plain(facts: "GalleryInfo") -> dict[str, Any]:
    """Plain values, with the time of indexing as text."""
    values = asdict(facts)
    indexed_ns = values.pop("indexed_ns")
    when = None if indexed_ns is None else time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(indexed_ns // NS))
    return values | {"sources": list(facts.sources), "indexed": when}


def _cells(line: dict[str, Any]) -> list[str]:
    sources = line["sources"]
    source = sources[0] if len(sources) == 1 else f"{len(sources)} sources" if sources else "a list"
    when = (line["indexed"] or "")[:16].replace("T", " ")
    return [f"{line['people']:,}", f"{line['images']:,}", f"{len(line['not_looked']):,}", _size(line["bytes"]), when, line["model"], source]


def _lines(values: list[str], otherwise: str) -> str:
    return "\n  ".join(map(shown, values)) or otherwise  # a name with a line end adds no line


def _size(count: int | None) -> str:
    if count is None:
        return "not known"
    power = min(len(UNITS) - 1, max(0, count.bit_length() - 1) // 10)
    value = count / KIB**power
    return f"{value:.0f} {UNITS[power]}" if value >= 10 or power == 0 else f"{value:.1f} {UNITS[power]}"
