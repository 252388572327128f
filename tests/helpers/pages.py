"""Markdown pages as tests see them: their code blocks, links and paths, and a folder in which the Python blocks run."""

import contextlib
import io
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.onnx_files import PERSON, reid, yolox
from tests.helpers.pictures import write_video

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "personsearch/data/demo"
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]*) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
NAMES = {"scene_03.jpg": "party.jpg", "scene_37.jpg": "beach.jpg"}  # both show the query's person


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    code: str
    line: int  # 1-based, of the first line of code
    reason: str | None = None  # why it is not run


def tracked(*endings: str) -> list[Path]:
    """Files of the repository with one of these endings, environments, builds and hidden folders left out."""
    outside = {"site", "build", "dist"}

    def ours(path: Path) -> bool:
        parts = path.relative_to(ROOT).parts
        return path.suffix in endings and not outside & set(parts[:-1]) and not any(part.startswith(".") for part in parts[:-1])

    return sorted(path for path in ROOT.rglob("*") if ours(path) and path.is_file())


def pages() -> list[Path]:
    """Every Markdown page of the repository."""
    return tracked(".md")


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match["language"], match["code"], text.count("\n", 0, match.start("code")) + 1, match["reason"])
        for match in BLOCK.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def prepare(folder: Path) -> None:
    """The files that the pages name: demo pictures as holiday_photos/, me.jpg, party.jpg, a video, two networks, an evaluation file."""
    import cv2

    photos = folder / "holiday_photos"
    shutil.copytree(DEMO / "scenes", photos)
    shutil.copy(DEMO / "query.jpg", folder / "me.jpg")
    for scene, name in NAMES.items():
        (photos / scene).rename(photos / name)
    shutil.copy(photos / "party.jpg", folder)
    frames = [cv2.imread(str(path))[:, :, ::-1] for path in sorted((DEMO / "scenes").glob("*.jpg"))[:3] for _ in range(5)]
    write_video(folder / "street.mp4", [cv2.resize(frame, (960, 540)) for frame in frames], codec="mp4v")
    yolox(folder / "yolox_nano.onnx", PERSON)
    reid(folder / "osnet_x0_25.onnx")
    shutil.copy(ROOT / "examples/evaluation_small.json", folder)


def run_block(block: Block, folder: Path, names: dict[str, Any]) -> str:
    """Run a Python block in a folder and return what it prints; `names` are its globals, which later blocks share."""
    output, before = io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(output):
            exec(compile("\n" * (block.line - 1) + block.code, "page", "exec"), names)
    finally:
        os.chdir(before)
    return output.getvalue()
