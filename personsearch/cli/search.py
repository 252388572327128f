"""The commands that detect, index and search."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from personsearch.cli.options import (
    PICTURES,
    CBGMVariant,
    ConfidenceWeighted,
    Device,
    Every,
    GalleryAt,
    MinScore,
    Model,
    PrecisionOption,
    RerankOption,
    cbgm_settings,
    open_searcher,
    say,
)
from personsearch.errors import ConfigError


def detect(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "float32",
    min_score: MinScore = None,
    draw: Annotated[Path | None, typer.Option(help="Write the picture with its boxes to this file (one picture only).")] = None,
) -> None:
    """Detect the people of each picture; prints one JSON object per line: image, boxes (xyxy pixels), scores."""
    if draw is not None and len(images) != 1:
        raise ConfigError(f"--draw takes one picture, got {len(images)}")
    if draw is not None and draw.suffix.lower() not in PICTURES:
        raise ConfigError(f"--draw must end with {', '.join(PICTURES)}, got {draw}")
    searcher = open_searcher(model, device, precision)
    for image in images:
        detections = searcher.detect(image)
        detections = detections.take(detections.scores >= (searcher.model.min_score if min_score is None else min_score))
        typer.echo(json.dumps({"image": str(image), **detections.to_dict()}))
        if draw is not None:
            detections.draw().save(draw)
            say(f"wrote {draw}")


def index(
    source: Annotated[str, typer.Argument(help="Folder, glob pattern, picture or video.")],
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "float32",
    gallery: GalleryAt = None,
    every: Every = 1,
    min_score: MinScore = None,
    storage: Annotated[
        Literal["float32", "float16"] | None, typer.Option(help="Number format of a new gallery's embeddings; float16 takes half the disk.")
    ] = None,
) -> None:
    """Detect and embed the people of a source into a gallery; a second run reads only new and changed images."""
    searcher = open_searcher(model, device, precision)
    result = searcher.index(source, gallery=gallery, every=every, min_score=min_score, storage=storage)
    report = result.report
    counts = {name: len(value) for name, value in asdict(report).items() if name != "unreadable"} if report else {}
    unreadable = report.unreadable if report else {}
    typer.echo(
        json.dumps({"gallery": result.location, "people": len(result), "images": result.image_count, **counts, "unreadable": unreadable})
    )


def search(
    query: Annotated[Path, typer.Argument(help="A crop of the person, or with --box a scene.")],
    source: Annotated[str, typer.Argument(help="A gallery, or a folder, glob pattern, picture or video.")],
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "float32",
    box: Annotated[str | None, typer.Option(help="x1,y1,x2,y2 of the person in the query picture, in pixels.")] = None,
    top_k: Annotated[int, typer.Option(help="Largest number of hits.")] = 10,
    rerank: RerankOption = None,
    cbgm: Annotated[str | None, typer.Option(help="K1,K2: re-rank K1 scenes by K2 people of the query's scene; needs --box.")] = None,
    cbgm_variant: CBGMVariant = None,
    confidence_weighted: ConfidenceWeighted = False,
    min_similarity: Annotated[
        str | None, typer.Option(help='Cosine below which hits are dropped; "auto": the model\'s calibrated threshold.')
    ] = None,
    gallery: GalleryAt = None,
    every: Every = 1,
    min_score: MinScore = None,
    out: Annotated[Path | None, typer.Option(help="Also write the hits as .html, or as a montage (.png or .jpg).")] = None,
) -> None:
    """Find a person in a gallery; prints the hits as JSON."""
    from personsearch.hits import Query
    from personsearch.searching import SearchOptions

    if out is not None and out.suffix.lower() not in (".html", *PICTURES):
        raise ConfigError(f"--out must end with .html, {', '.join(PICTURES)}, got {out}")
    settings = cbgm_settings(rerank, [] if cbgm is None else [cbgm], cbgm_variant)
    reranking = settings[0] if settings else None
    if reranking is not None and box is None:
        raise ConfigError("CBGM compares the people around the query; pass the query's scene and --box")
    options = SearchOptions(top_k, reranking, _min_similarity(min_similarity), confidence_weighted)
    person = Query(query, _box(box))
    searcher = open_searcher(model, device, precision)
    options.threshold(searcher.calibration)
    embedded = searcher.embed_query(person, rerank=reranking)  # before the source is indexed, which may take long
    people = searcher.open_gallery(source, gallery=gallery, every=every, min_score=min_score)
    result = searcher.search(embedded, people, options)
    typer.echo(result.to_json())
    if out is not None:
        _write(result, out)


def _write(result: Any, out: Path) -> None:
    if out.suffix.lower() == ".html":
        result.save_html(out)
    else:
        result.montage().save(out)
    say(f"wrote {out}")


def _min_similarity(text: str | None) -> "float | Literal['auto'] | None":
    if text is None:
        return None
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f'--min-similarity must be a cosine, -1..1, or auto, got "{text}"') from error


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--box must be x1,y1,x2,y2 in pixels, got {text!r}") from error
    return x1, y1, x2, y2
