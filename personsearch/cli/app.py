"""The `personsearch` command: data on stdout as JSON, messages on stderr, exit code 1 for a clear error, 2 for wrong usage."""

import json
import logging
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from personsearch import __version__
from personsearch.cli import models
from personsearch.cli.models import Device
from personsearch.errors import ConfigError, PersonSearchError

app = typer.Typer(
    name="personsearch",
    help="Find a person in whole scene photos: detect everyone, embed everyone, rank. Nothing is sent anywhere.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


PICTURES = (".png", ".jpg", ".jpeg")  # what is drawn can be written so


class Protocol(StrEnum):
    """Evaluation protocols."""

    PRW = "prw"
    CUHK_SYSU = "cuhk-sysu"


class Dataset(StrEnum):
    """Data sets to measure on."""

    PRW = "prw"
    CUHK_SYSU = "cuhk-sysu"
    POSETRACK21 = "posetrack21"


class Rerank(StrEnum):
    """Ways to re-rank."""

    CBGM = "cbgm"


class Precision(StrEnum):
    """How a network counts."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Storage(StrEnum):
    """How a gallery keeps its embeddings."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


class Variant(StrEnum):
    """The two forms of CBGM."""

    AUTHORS = "authors"
    PAPER = "paper"


Model = Annotated[str | None, typer.Option(help="A model folder, a name that `personsearch models` lists, or hf:org/name@revision.")]
PrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="Of one network for whole scenes; less than float32 is faster and less exact.")
]
MinScore = Annotated[float | None, typer.Option(help="Leave out people below this detection score; by default the model's own.")]
GalleryAt = Annotated[str | None, typer.Option(help="Folder or URI of the gallery; by default a place in PERSONSEARCH_HOME.")]
Every = Annotated[int, typer.Option(help="Of a video, take every n-th frame.")]


@app.command()
def detect(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = Precision.FLOAT32,
    min_score: MinScore = None,
    draw: Annotated[Path | None, typer.Option(help="Write the picture with its boxes here (one picture only).")] = None,
) -> None:
    """Find the people of each picture; one JSON object a line: image, boxes (xyxy pixels), scores."""
    if draw is not None and len(images) != 1:
        raise ConfigError(f"--draw takes one picture, got {len(images)}")
    if draw is not None and draw.suffix.lower() not in PICTURES:
        raise ConfigError(f"--draw must end with {', '.join(PICTURES)}, got {draw}")
    searcher = _searcher(model, device, precision)
    for image in images:
        found = searcher.detect(image)
        found = found.take(found.scores >= (searcher.model.min_score if min_score is None else min_score))
        typer.echo(json.dumps({"image": str(image), **found.to_dict()}))
        if draw is not None:
            found.draw().save(draw)
            _say(f"wrote {draw}")


@app.command()
def index(
    source: Annotated[str, typer.Argument(help="A folder, glob pattern, picture or video.")],
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = Precision.FLOAT32,
    gallery: GalleryAt = None,
    every: Every = 1,
    min_score: MinScore = None,
    storage: Annotated[Storage | None, typer.Option(help="Of a new gallery's embeddings; float16 takes half the disk.")] = None,
) -> None:
    """Detect and embed everyone of a source and keep them in a gallery; again, only what is new or changed."""
    searcher = _searcher(model, device, precision)
    made = searcher.index(source, gallery=gallery, every=every, min_score=min_score, storage=storage.value if storage else None)
    report = made.report
    counts = {name: len(value) for name, value in asdict(report).items() if name != "unreadable"} if report else {}
    unreadable = report.unreadable if report else {}
    typer.echo(json.dumps({"gallery": made.location, "people": len(made), "images": made.image_count, **counts, "unreadable": unreadable}))


@app.command()
def search(
    query: Annotated[Path, typer.Argument(help="A crop of the person, or with --box a scene.")],
    source: Annotated[str, typer.Argument(help="A gallery, or a folder, glob pattern, picture or video.")],
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = Precision.FLOAT32,
    box: Annotated[str | None, typer.Option(help="x1,y1,x2,y2 of the person in the query picture, pixels.")] = None,
    top_k: Annotated[int, typer.Option(help="How many hits.")] = 10,
    rerank: Annotated[Rerank | None, typer.Option(help="Re-rank by the people around the query; needs --box.")] = None,
    cbgm: Annotated[str, typer.Option(help="K1,K2 of --rerank cbgm: scenes re-ranked, people of the query's scene.")] = "30,4",
    cbgm_variant: Annotated[Variant, typer.Option(help="Of --rerank cbgm.")] = Variant.PAPER,
    confidence_weighted: Annotated[bool, typer.Option(help="Rank by cosine x score.")] = False,
    min_similarity: Annotated[
        str | None, typer.Option(help='Leave out hits below this cosine; "auto": below what the model is calibrated to.')
    ] = None,
    gallery: GalleryAt = None,
    every: Every = 1,
    min_score: MinScore = None,
    out: Annotated[Path | None, typer.Option(help="Also write hits.html, or a montage as .png or .jpg.")] = None,
) -> None:
    """Find a person in a gallery; prints the hits as JSON."""
    from personsearch.hits import Query

    if out is not None and out.suffix.lower() not in (".html", *PICTURES):
        raise ConfigError(f"--out must end with .html, {', '.join(PICTURES)}, got {out}")
    asked, k, least = Query(query, _box(box)), _pair(cbgm), _least(min_similarity)
    if rerank is not None and asked.box is None:
        raise ConfigError("--rerank cbgm compares the people around the query; give the query's scene and --box")
    searcher = _searcher(model, device, precision)
    _check_query(asked)
    people = searcher.open_gallery(source, gallery=gallery, every=every, min_score=min_score)
    result = searcher.search(
        asked,
        people,
        top_k=top_k,
        rerank=rerank.value if rerank else None,
        min_similarity=least,
        confidence_weighted=confidence_weighted,
        cbgm_k=k,
        cbgm_variant=cbgm_variant.value,
    )
    typer.echo(result.to_json())
    if out is None:
        return
    if out.suffix.lower() == ".html":
        result.save_html(out)
    else:
        result.montage().save(out)
    _say(f"wrote {out}")


@app.command()
def evaluate(
    file: Annotated[Path | None, typer.Argument(help="Detections, embeddings and queries as JSON; README describes the fields.")] = None,
    protocol: Annotated[Protocol | None, typer.Option(help="With FILE: which gallery each query has.")] = None,
    dataset: Annotated[Dataset | None, typer.Option(help="Instead of FILE: measure a model on this data set.")] = None,
    root: Annotated[Path | None, typer.Option(help="With --dataset: its folder.")] = None,
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = Precision.FLOAT32,
    gallery_size: Annotated[list[str] | None, typer.Option(help="CUHK-SYSU: 50 to 4000, or full; may be given again.")] = None,
    true_boxes: Annotated[bool, typer.Option(help="With --dataset: take the true boxes as found, for the upper bound.")] = False,
    cross_camera: Annotated[bool, typer.Option(help="With FILE, PRW: only frames of other cameras. --dataset prw does both.")] = False,
    cbgm: Annotated[list[str] | None, typer.Option(help="K1,K2: re-rank by context; with --dataset it may be given again.")] = None,
    cbgm_variant: Annotated[Variant, typer.Option(help="Published numbers use the authors' variant.")] = Variant.AUTHORS,
    confidence_weighted: Annotated[
        bool, typer.Option(help="Rank by cosine x score, as published of NAE, SeqNet and Trident, or by cosine, as of AlignPS.")
    ] = True,
    min_score: Annotated[
        float | None, typer.Option(help="Detections below do not enter the search; by default 0.5 with FILE, else the model's own.")
    ] = None,
    detection_min_score: Annotated[float, typer.Option(help="Detections below do not count for recall and AP.")] = 0.01,
    curve: Annotated[Path | None, typer.Option(help="With --dataset: draw mAP and top-1 over the galleries, .png or .jpg.")] = None,
) -> None:
    """Measure search (mAP, top-1, 5, 10) and detection (recall, AP): of arrays in FILE, or of a model on a data set; prints JSON."""
    pairs = [_pair(text) for text in cbgm or []]
    if file is not None and protocol is not None and dataset is None:
        from personsearch.evaluation import evaluate_file

        if len(pairs) > 1 or root or model or gallery_size or true_boxes or curve or precision is not Precision.FLOAT32:
            raise ConfigError(
                "FILE takes one --cbgm; --root, --model, --precision, --gallery-size, --true-boxes and --curve go with --dataset"
            )
        measured = evaluate_file(
            file,
            protocol=protocol.value,
            cross_camera=cross_camera,
            cbgm=pairs[0] if pairs else None,
            cbgm_variant=cbgm_variant.value,
            min_score=0.5 if min_score is None else min_score,
            detection_min_score=detection_min_score,
            confidence_weighted=confidence_weighted,
        )
    elif file is None and dataset is not None and root is not None and protocol is None and not cross_camera:
        from personsearch.evaluation import curves
        from personsearch.evaluation.runner import evaluate_dataset, table

        if gallery_size and dataset is not Dataset.CUHK_SYSU:
            raise ConfigError(f"--gallery-size is of cuhk-sysu; {dataset.value} has its own galleries")
        sizes = [_size(text) for text in gallery_size or ["100"]]
        if curve is not None:
            curves.check_name(curve)
        measured = evaluate_dataset(
            _searcher(model, device, precision),
            dataset.value,
            root,
            gallery_sizes=sizes,
            true_boxes=true_boxes,
            cbgm=pairs,
            cbgm_variant=cbgm_variant.value,
            confidence_weighted=confidence_weighted,
            min_score=min_score,
            detection_min_score=detection_min_score,
        )
        _say(table(measured))
        if curve is not None:
            curves.draw(measured).save(curve)
            _say(f"wrote {curve}")
    else:
        raise ConfigError("give FILE and --protocol (with --cross-camera if need be), or --dataset and --root, which bring their protocol")
    typer.echo(json.dumps(measured, indent=2))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path("."),
    model: Model = None,
    device: Device = "auto",
) -> None:
    """Search a few rendered scenes that come with the package; writes demo_hits.jpg and demo_hits.html, says whether rank 1 is right."""
    from personsearch.cli.demo import run_demo

    found = run_demo(_searcher(model, device))
    files = out / "demo_hits.jpg", out / "demo_hits.html"
    out.mkdir(parents=True, exist_ok=True)
    found.result.montage().save(files[0])
    found.result.save_html(files[1])
    _say(found.summary)
    hits = [
        {"right": right, "image": Path(hit.image).name, "similarity": hit.similarity}
        for right, hit in zip(found.right, found.result, strict=True)
    ]
    first = bool(found.right and found.right[0])
    typer.echo(json.dumps({"rank_1_is_right": first, "files": [str(file) for file in files], "hits": hits}))


for _command in (models.models, models.convert, models.export, models.train):
    app.command()(_command)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say more on stderr.")] = False,
) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s")
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command; what goes wrong for a known reason becomes one line on stderr and exit code 1."""
    try:
        app()
    except (PersonSearchError, OSError) as error:  # OSError: a file that cannot be written, say
        _say(f"error: {error}")
        sys.exit(1)


def _least(text: str | None) -> "float | Literal['auto'] | None":
    if text is None:
        return None
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f'--min-similarity must be a cosine, -1..1, or auto, got "{text}"') from error


def _searcher(model: str | None, device: str, precision: Precision = Precision.FLOAT32) -> Any:
    from personsearch.memory import keep_freed_memory
    from personsearch.searcher import PersonSearcher

    keep_freed_memory()
    return PersonSearcher.from_pretrained(model, device=device, precision=precision.value)


def _check_query(query: Any) -> None:
    """Name a wrong query now, not after a source has been indexed."""
    from personsearch import images
    from personsearch.boxes import check_boxes

    picture = images.load(query.image)
    if query.box is not None:
        check_boxes(query.box, *picture.shape[:2])


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--box must be x1,y1,x2,y2 in pixels, got {text!r}") from error
    return x1, y1, x2, y2


def _pair(text: str) -> tuple[int, int]:
    try:
        k1, k2 = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--cbgm must be K1,K2, two whole numbers, got {text!r}") from error
    return k1, k2


def _size(text: str) -> int | Literal["full"]:
    if text == "full":
        return "full"
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"--gallery-size must be a whole number or full, got {text!r}") from error


def _say(message: str) -> None:
    typer.echo(message, err=True)
