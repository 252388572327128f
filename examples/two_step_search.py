"""Search for a person with any two networks: a YOLOX detector and a re-identification network, both ONNX files.

    python examples/two_step_search.py yolox_nano.onnx osnet_x0_25.onnx holiday_photos/ me.jpg
    python examples/two_step_search.py yolox_nano.onnx osnet_x0_25.onnx street.mp4 party.jpg --box 410,80,520,400 --tiles 1,3 --every 10

The networks become a model folder, `two_step_model`, which everything else of the package takes too:
`personsearch search me.jpg holiday_photos/ --model two_step_model`.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from personsearch import PersonSearcher, PersonSearchError, Query, save_two_step


def numbers(text: str, count: int) -> tuple[float, ...]:
    """`count` numbers with commas between."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise typer.BadParameter(f"{text!r} should be {count} numbers with commas between")
    return values


def fields(text: str) -> dict[str, Any]:
    """The fields of a JSON object."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{text!r} should be a JSON object")
    return value


def main(
    detector: Annotated[Path, typer.Argument(help="YOLOX network, ONNX, as its authors export it")],
    embedder: Annotated[Path, typer.Argument(help="re-identification network, ONNX")],
    pictures: Annotated[str, typer.Argument(help="folder, glob pattern, picture or video to search")],
    query: Annotated[Path, typer.Argument(help="picture of the person: a crop, or with --box a scene")],
    box: Annotated[str | None, typer.Option(help="the person in the query picture: x1,y1,x2,y2 in pixels")] = None,
    tiles: Annotated[str | None, typer.Option(help="look at rows,columns of overlapping tiles too, for small people: 1,3")] = None,
    embedder_options: Annotated[str, typer.Option(help='JSON, e.g. {"layout": "nhwc", "channels": "bgr", "scale": 1}')] = "{}",
    every: Annotated[int, typer.Option(help="of a video, take every n-th frame")] = 1,
    top_k: Annotated[int, typer.Option(help="at most so many hits")] = 10,
    model: Annotated[Path, typer.Option(help="folder that the model is saved in")] = Path("two_step_model"),
    out: Annotated[Path, typer.Option(help="picture of the hits")] = Path("hits.png"),
) -> None:
    """Print the hits, best first, and save a picture of them."""
    options: dict[str, Any] = {} if tiles is None else {"tiles": [int(part) for part in numbers(tiles, 2)]}
    person: Any = query if box is None else Query(query, box=numbers(box, 4))  # type: ignore[arg-type]  # four by numbers()
    try:
        save_two_step(model, detector_file=detector, embedder_file=embedder, detector=options, embedder=fields(embedder_options))
        searcher = PersonSearcher.from_pretrained(model)
        gallery = searcher.index(pictures, every=every)
        result = searcher.search(person, gallery, top_k=top_k)
    except PersonSearchError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    for hit in result:
        when = "" if hit.time is None else f" at {hit.time:.1f} s"
        typer.echo(
            f"{hit.rank:3}  similarity {hit.similarity:.3f}  score {hit.score:.2f}  {hit.image}{when}  {[round(side) for side in hit.box]}"
        )
    result.montage().save(out)
    typer.echo(f"hits shown in {out}", err=True)


if __name__ == "__main__":
    typer.run(main)
