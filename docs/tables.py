"""Write the parts of README that come from measurements, and the text of `personsearch recipes`: `python -m docs.tables`.

The table of models comes from `weights_manifest.json`, the card of the bundled model and benchmarks/RESULTS.md; the printed output
from running the code above it. Each part is between two comments, `<!-- NAME -->` and `<!-- end of NAME -->`.
"""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from personsearch.cli.recipes import LIST_FILE
from personsearch.weights import find, manifest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks/RESULTS.md"
HEADER = (
    "| model | what it is | mAP / top-1 | images/s, two cores | licence | get it |",
    "|---|---|---|---|---|---|",
)
NETWORKS = {  # start of a model's name -> row of the table of times, most special first
    "roi-alignps": "ROI-AlignPS",
    "alignps-plus": "AlignPS+",
    "alignps": "AlignPS",
    "seqnet": "SeqNet",
    "nae": "NAE",
    "gfn": "SeqNeXt with GFN",
    "coat": "COAT",
}
MEASURED_ON = 2  # measurements of the bundled model that README shows
CARD_CELLS, TIME_CELLS = 4, 7  # of the rows that are read
AFTER = {"CBGM": "CBGM", "cosine times score and GFN's scene score": "GFN"}  # setting of a second published row -> what it adds


def rows_of(file: Path) -> Iterator[list[str]]:
    """Cells of every table row of a page."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            yield [cell.strip().strip("*") for cell in line.strip("|").split("|")]


def _row(file: Path, start: str, cells: int) -> list[str]:
    """Cells of the first row of at least so many cells whose first one starts with `start`."""
    for row in rows_of(file):
        if row[0].startswith(start) and len(row) >= cells:
            return row
    raise LookupError(f"{file}: no table row starts with {start!r}")


def card(source: manifest.Bundled) -> Path:
    """The card of a bundled model."""
    return ROOT / "personsearch/data" / source.folder / "README.md"


def frame_rates(page: Path) -> tuple[str, str]:
    """Images a second of a bundled model and of the public networks beside it, at 1080p, from its card."""
    row = _row(page, "a 1080p frame", 4)
    return row[-2].split()[0], row[-1].split()[0]


def network(name: str) -> str:
    """The network of a model's name, as the table of times calls it; the name itself for a network without a time."""
    return next((row for start, row in NETWORKS.items() if name.startswith(start)), name)


def scene_rate(name: str) -> str:
    """Images a second of a network on a 900 x 1500 picture, as opened, from the table of times; a dash without a measurement."""
    row = next((row for row in rows_of(RESULTS) if row[0] == network(name) and len(row) >= TIME_CELLS), None)
    return "-" if row is None else f"{1 / (float(row[1]) * float(row[2])):.2f}"


def _numbers(dataset: str, mean: float, top1: float) -> str:
    return f"{dataset} {mean:.1f} / {top1:.1f}"


def _pictures(dataset: str) -> str:
    """The name of the pictures without the frames taken of them."""
    return dataset.rsplit(",", 1)[0]


def _measured(entry: manifest.Entry) -> str:
    return "; ".join(_numbers(_pictures(one.dataset), one.map, one.top1) for one in entry.metrics.measured[:MEASURED_ON])


def _public_networks(bundled: manifest.Entry, page: Path) -> str:
    """Numbers (mAP, top-1) of the public networks on the same pictures, in percent, from the card."""
    cells = [row[-1] for row in rows_of(page) if len(row) >= CARD_CELLS and row[1] == "mAP / top-1"]
    names = [_pictures(one.dataset) for one in bundled.metrics.measured[:MEASURED_ON]]
    parts = [[100 * float(number) for number in re.findall(r"\.\d+", cell)] for cell in cells]
    return "; ".join(_numbers(name, *part) for name, part in zip(names, parts, strict=False))


def _bundled_row(name: str, entry: manifest.Entry, source: manifest.Bundled) -> str:
    licence, rate = entry.licences.weights.split(";")[0], frame_rates(card(source))[0]
    return f"| `{name}` | detector and crop network | {_measured(entry)} | {rate} | {licence} | in the package |"


def _two_files_row() -> str:
    entry = manifest.models()[find.DEFAULT]
    if not isinstance(entry.source, manifest.Bundled):
        raise LookupError(f"{find.DEFAULT} is not in the package, so its card has no numbers")
    numbers, rate = _public_networks(entry, card(entry.source)), frame_rates(card(entry.source))[1]
    other = "any YOLOX detector with any re-id network; here YOLOX-Nano with OSNet x0.25"
    return f"| your two ONNX files | {other} | {numbers} | {rate} | that of the files | `save_two_step` |"


def _converted_row(name: str, entry: manifest.Entry, source: manifest.Convert) -> str:
    hybrid = ", hybrid pre-training" if "hybrid" in name else ""
    first = entry.metrics.published[0]
    measured = f"{_measured(entry)}; " if entry.metrics.measured else ""
    published = f"published: {_numbers(first.dataset, first.map, first.top1)}"
    for one in entry.metrics.published[1:]:
        if one.setting in AFTER and one.dataset == first.dataset:
            published += f", with {AFTER[one.setting]} {one.map:.1f} / {one.top1:.1f}"
    licence = f"code {entry.licences.code.split(' (')[0]}, weights {entry.licences.weights}"
    get = f"`convert`, [{source.whose}]({source.repository})"
    return f"| `{name}` | {network(name)}{hybrid} | {measured}{published} | {scene_rate(name)} | {licence} | {get} |"


def models_table() -> str:
    """The table of models, one row for each name of the manifest and one for two ONNX files."""
    bundled, converted = [], []
    for name, entry in manifest.models().items():
        if isinstance(entry.source, manifest.Bundled):
            bundled.append(_bundled_row(name, entry, entry.source))
        elif isinstance(entry.source, manifest.Convert):
            converted.append(_converted_row(name, entry, entry.source))
    return "\n".join([*HEADER, *bundled, _two_files_row(), *converted])


def printed() -> str:
    """What README's first Python block prints, as a fenced block."""
    from tests.helpers.pages import blocks, prepare, run_block

    first = next(block for block in blocks(README) if block.language == "python")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        return f"```text\n{run_block(first, Path(folder), {}).strip()}\n```"


def recipes_table() -> str:
    """What `personsearch recipes` prints."""
    from personsearch.training.recipes.listing import table

    return table()


def filled(text: str, name: str, content: str) -> str:
    """The page with `content` between the two comments of `name`."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    new, count = pattern.subn(lambda match: f"{match[1]}{content}\n{match[2]}", text)
    if count != 1:
        raise LookupError(f"the page needs <!-- {name} --> and <!-- end of {name} --> once, found {count}")
    return new


def main() -> None:
    """Write README's generated parts and the list of recipes anew."""
    text = filled(README.read_text(encoding="utf-8"), "models", models_table())
    README.write_text(filled(text, "output", printed()), encoding="utf-8")
    LIST_FILE.write_text(recipes_table() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
