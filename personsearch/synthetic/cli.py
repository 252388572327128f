"""The command that renders a data set of synthetic scenes."""

from pathlib import Path
from typing import Annotated

import typer

from personsearch.errors import PersonSearchError

APPEARANCES = 8  # how often each identity is seen, on average, when no number of identities is given

app = typer.Typer(add_completion=False)


@app.command()
def synthetic(
    assets: Annotated[Path, typer.Option(help="Folder of MakeHuman meshes: base.obj, rig, targets, clothes, hair, poses.")],
    out: Annotated[Path, typer.Option(help="Folder to write images and annotations.json into.")],
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of identities and cameras; another seed is another world.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    identities: Annotated[int | None, typer.Option(min=1, help="Different people; by default each is seen about 8 times.")] = None,
    cameras: Annotated[int | None, typer.Option(min=1, help="Different cameras; by default one for every 10 scenes, at least 2.")] = None,
    width: Annotated[int, typer.Option(min=64, help="Pixels.")] = 960,
    height: Annotated[int, typer.Option(min=64, help="Pixels.")] = 540,
    fewest: Annotated[int, typer.Option(min=0, help="Fewest people in a scene.")] = 3,
    most: Annotated[int, typer.Option(min=0, help="Most people in a scene.")] = 14,
    backgrounds: Annotated[Path | None, typer.Option(help="Folder of photographs without people.")] = None,
    smallest: Annotated[float, typer.Option(min=1, help="Pixels of height below which nobody is placed.")] = 26,
) -> None:
    """Render scenes of synthetic people with exact boxes, identities and visibility."""
    # numba is needed to render, not to show the help
    from personsearch.synthetic.dataset import generate_dataset
    from personsearch.synthetic.world import World

    names = identities or max(most, scenes * (fewest + most) // 2 // APPEARANCES, 1)
    world = World(assets, seed, names, cameras or max(2, scenes // 10), (fewest, most), width, height, backgrounds, smallest)
    target = generate_dataset(world, out, scenes, workers=workers)
    typer.echo(f"{scenes} scenes of up to {names} people: {target}")


def main() -> None:
    """Run the command; an error of ours is one line and exit code 1."""
    try:
        app()
    except PersonSearchError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error
