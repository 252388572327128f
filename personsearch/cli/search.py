"""The commands that index and search."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from personsearch.cli.asking import (
    Also,
    CombineOption,
    Json,
    MinSceneScore,
    Not,
    SceneFilterOption,
    SearchRerank,
    WhereOption,
    query_of,
    rerank_of,
    scene_filter_of,
    where_of,
)
from personsearch.cli.options import (
    CBGMVariant,
    ConfidenceWeighted,
    Device,
    Every,
    GalleryAt,
    MinScore,
    Model,
    PrecisionOption,
    Sources,
    TilesOption,
    one_or_list,
    open_searcher,
    say,
)
from personsearch.cli.output import check_outputs, write
from personsearch.errors import ConfigError, QueryError, shown


def index(
    sources: Sources,
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "float32",
    tiles: TilesOption = None,
    gallery: GalleryAt = None,
    every: Every = None,
    min_score: MinScore = None,
    storage: Annotated[
        Literal["float32", "float16"] | None, typer.Option(help="Number format of a new gallery's embeddings; float16 takes half the disk.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Read every picture again.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove the people of folders that have gone or are empty.")] = False,
    workers: Annotated[
        int,
        typer.Option(help="Number of workers of the Ray cluster of RAY_ADDRESS, or of one on this machine (extra ray); 1: this process."),
    ] = 1,
    gpus_per_worker: Annotated[float, typer.Option(help="Number of GPUs of each worker.")] = 0,
) -> None:
    """Detect and embed the people of sources into a gallery; a second run reads only new and changed images."""
    places, keywords = one_or_list(sources), {"gallery": gallery, "storage": storage, "force": force, "prune": prune}
    if workers > 1 and tiles is not None:
        raise ConfigError("--tiles works in this process only; leave --workers out, or write tiles into the model's config.json")
    if workers > 1:
        from personsearch import distributed

        placing = {"model": model, "device": device, "precision": precision, "workers": workers, "gpus_per_worker": gpus_per_worker}
        result = distributed.index(places, **keywords, **placing, **_chosen(every, min_score))  # type: ignore[arg-type]
    else:
        result = open_searcher(model, device, precision, tiles).index(places, **keywords, **_chosen(every, min_score))
    report = result.report
    counts = {name: len(value) for name, value in asdict(report).items() if isinstance(value, tuple)} if report else {}
    reasons = {name: value for name, value in asdict(report).items() if isinstance(value, dict)} if report else {}
    typer.echo(json.dumps({"gallery": result.location, "people": len(result), "images": result.image_count, **counts, **reasons}))
    _say_not_looked(report.not_looked if report else {})


def search(
    query: Annotated[
        str, typer.Argument(help="A crop of the person; with --person or --box a scene; with --time a video.", metavar="QUERY")
    ],
    sources: Sources,
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "float32",
    tiles: TilesOption = None,
    box: Annotated[str | None, typer.Option(help="x1,y1,x2,y2 of the person in the query picture, in pixels.")] = None,
    person: Annotated[int | None, typer.Option(help="Number of the person in the query picture, as `personsearch detect` prints.")] = None,
    crop: Annotated[bool, typer.Option("--crop", help="Take the whole query picture as the person, without looking at it.")] = False,
    time: Annotated[float | None, typer.Option(help="With a video as QUERY: seconds from its start.")] = None,
    top_k: Annotated[int, typer.Option(help="Largest number of hits.")] = 10,
    also: Also = None,
    others: Not = None,
    combine: CombineOption = "mean",
    where: WhereOption = None,
    rerank: SearchRerank = None,
    cbgm: Annotated[str | None, typer.Option(help="K1,K2: re-rank K1 scenes by K2 people of the query's scene.")] = None,
    cbgm_variant: CBGMVariant = None,
    confidence_weighted: ConfidenceWeighted = None,
    min_similarity: Annotated[
        str | None, typer.Option(help='Cosine below which hits are dropped; "auto": the model\'s calibrated threshold.')
    ] = None,
    group: Annotated[
        Literal["image", "spell"] | None,
        typer.Option("--group", "--group-by", help="One hit for each picture or video, or for each stretch of video with one person."),
    ] = None,
    gap: Annotated[float, typer.Option(help="Seconds without the person within one spell.")] = 1.0,
    exclude: Annotated[
        Literal["frame", "image"] | None,
        typer.Option(help="Leave out the query's own picture or frame, or its picture or whole video."),
    ] = None,
    scene_filter: SceneFilterOption = None,
    min_scene_score: MinSceneScore = None,
    gallery: GalleryAt = None,
    every: Every = None,
    min_score: MinScore = None,
    as_json: Json = False,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Also write the hits: .html, .csv, .json, a montage (.png, .jpg), or a folder of crops; may be repeated."),
    ] = None,
) -> None:
    """Find a person in a gallery; prints the hits as JSON.

    If the query picture does not look like a crop of one person, the command lists the people in it with numbers and stops: choose one
    with --person, or take the picture as it is with --crop.
    """
    from personsearch.hits import Query
    from personsearch.searching import SearchOptions

    reranking = rerank_of(rerank, cbgm, cbgm_variant)
    options = SearchOptions(
        top_k=top_k,
        rerank=reranking,
        min_similarity=_min_similarity(min_similarity),
        confidence_weighted=confidence_weighted,
        scene_filter=scene_filter_of(scene_filter, min_scene_score),
        where=where_of(where),
        group_by=group,
        gap=gap,
        exclude=exclude,
    )
    if (options.cbgm is not None or options.gfn is not None) and box is None and person is None:
        name = "CBGM compares the people around the query" if options.cbgm else "GFN compares the query's whole scene"
        raise ConfigError(f"{name}; pass the query's scene, and --person or --box")
    asked = query_of(Query(query, _box(box), person=person, crop=crop, time=time), also, others, combine)
    check_outputs(out or [])
    searcher = open_searcher(model, device, precision, tiles)
    options.threshold(searcher.calibration)
    embedded = _embedded(searcher, asked, options)  # before the source is indexed, which may take long
    galleries = searcher.open_galleries(one_or_list(sources), gallery=gallery, **_chosen(every, min_score))
    result = searcher.search(embedded, galleries, options)
    _say_not_looked(result.not_looked)
    if result.compared == 0 and where and any(len(opened) for opened in galleries):
        say(f"warning: no person of the gallery meets --where {' --where '.join(map(shown, where))}")
    typer.echo(result.to_json())
    if not write(result, out or []):
        raise typer.Exit(1)


def _chosen(every: int | None, min_score: float | None) -> dict[str, Any]:
    """The options that the user passed; a gallery keeps its own for the others."""
    return {name: value for name, value in (("every", every), ("min_score", min_score)) if value is not None}


def _embedded(searcher: Any, query: Any, options: Any) -> Any:
    """The query as the model describes it.

    Raises:
        QueryError: A picture does not look like a crop of one person, and the command line must say who is meant.
    """
    from personsearch.searching import as_any_query, doubts_of, embed_all

    (embedded,) = embed_all(searcher.model, [as_any_query(query)], options)
    for number, doubt in enumerate(doubts_of(embedded)):
        if doubt is None:
            continue
        if number:  # of --also and --not
            way = "pass FILE#N for one of them, or a picture that is cut out"
        else:
            choose = "pass --person N for one of them, --box, or" if len(doubt.people) else "pass --box x1,y1,x2,y2 of the person, or"
            way = f"{choose} --crop to search for the whole picture"
        raise QueryError(doubt.message(way, line="\n"))
    return embedded


def _say_not_looked(not_looked: Mapping[str, str]) -> None:
    """Say on stderr that a part of the sources was not looked at; where nothing was, indexing has raised an error."""
    if not_looked:
        say(f"warning: {len(not_looked)} pictures, videos or folders were not looked at, or only in part; the JSON names them")


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
