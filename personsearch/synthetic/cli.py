"""The command that renders a data set of synthetic scenes."""

from pathlib import Path
from typing import Annotated

import typer

from personsearch.errors import PersonSearchError

APPEARANCES = 8  # scenes in which each identity appears on average, without --identities

app = typer.Typer(add_completion=False)


@app.command()
def synthetic(
    assets: Annotated[Path, typer.Option(help="Folder of MakeHuman meshes: base.obj, rig, targets, clothes, hair, poses.")],
    out: Annotated[Path, typer.Option(help="Folder to write images and annotations.json into.")],
    scenes: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of identities and cameras; another seed gives other people and places.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1,
    identities: Annotated[
        int | None, typer.Option(min=1, help="Number of different people; by default each appears about 8 times.")
    ] = None,
    cameras: Annotated[int | None, typer.Option(min=1, help="Number of cameras; by default one for every 10 scenes, at least 2.")] = None,
    width: Annotated[int, typer.Option(min=64, help="Width of a scene, in pixels.")] = 960,
    height: Annotated[int, typer.Option(min=64, help="Height of a scene, in pixels.")] = 540,
    fewest: Annotated[int, typer.Option(min=0, help="Fewest people in a scene.")] = 3,
    most: Annotated[int, typer.Option(min=0, help="Most people in a scene.")] = 14,
    backgrounds: Annotated[Path | None, typer.Option(help="Folder of photographs without people, used as backgrounds.")] = None,
    smallest: Annotated[float, typer.Option(min=1, help="Smallest height of a person, in pixels.")] = 26,
) -> None:
    """Render scenes of synthetic people with exact boxes, identities and visibility."""
    # rendering needs numba, the help does not
    from personsearch.synthetic.dataset import generate_dataset
    from personsearch.synthetic.world import World

    names = identities or max(most, scenes * (fewest + most) // 2 // APPEARANCES, 1)
    world = World(assets, seed, names, cameras or max(2, scenes // 10), (fewest, most), width, height, backgrounds, smallest)
    target = generate_dataset(world, out, scenes, workers=workers)
    typer.echo(f"{scenes} scenes of up to {names} people: {target}")


def main() -> None:
    """Run the command; an error of the package prints one line and exits with code 1."""
    try:
        app()
    except PersonSearchError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error
