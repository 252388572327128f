"""The table of the GPU benchmark's results."""

import json
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- gpu -->", "<!-- end of gpu -->"
FORMS = ("plain", "opened", "bfloat16", "float16", "compiled", "onnx")


def table(out: Path) -> str:
    """Markdown of all results in a folder."""
    results = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(out.glob("*.json"))}
    machine = results.pop("machine", {})
    peaks: dict[str, float] = machine.get("tflops", {})
    lines = [
        f"`python -m benchmarks.gpu` at {machine.get('commit', '?')} on {machine.get('device', '?')}, torch {machine.get('torch', '?')}."
    ]
    lines += [f"A large product reaches {', '.join(f'{value} TFLOPS in {name}' for name, value in peaks.items())}.", ""]
    lines += ["| network | batch | GFLOPs an image | " + " | ".join(FORMS) + " | share of the peak |", "|" + "---|" * (4 + len(FORMS))]
    for name in sorted({row["network"] for key, row in results.items() if "network" in row and not key.startswith("indexing")}):
        lines += _network(name, results, peaks)
    lines += ["", "Images per second; the share is that of the fastest form, of the peak of its number format.", ""]
    for key, row in results.items():
        if key.startswith("indexing") and "error" not in row:
            lines.append(f"* Indexing with {row['network']}: {row['indexing']} images/s, {row['ratio']} of the networks alone.")
        if key.startswith("search") and "error" not in row:
            seconds = ", ".join(f"{value} s for {count} queries" for count, value in row["seconds"].items())
            lines.append(f"* Exact top-100 over {row['people']} x 256 in float16: {seconds}.")
    lines += [f"* {key} failed: {row['error']}" for key, row in results.items() if "error" in row]
    return "\n".join(lines)


def _network(name: str, results: dict[str, Any], peaks: dict[str, float]) -> list[str]:
    """The rows of one network, one for each batch."""
    forms: dict[str, dict[str, Any]] = {}
    for step in ("network", "compiled", "onnx"):
        row = results.get(f"{step}-{name}", {})
        forms |= {form: row[form] for form in FORMS if form in row}
    gflops = results.get(f"network-{name}", {}).get("gflops")
    lines = []
    for batch in sorted({batch for rates in forms.values() for batch in rates}, key=int):
        rates = {form: forms.get(form, {}).get(batch, {}).get("images_per_second") for form in FORMS}
        shares = [
            rate * gflops / 1e3 / peaks[form if form in peaks else "float32"] for form, rate in rates.items() if rate and gflops and peaks
        ]
        numbers = " | ".join("" if rates[form] is None else f"{rates[form]:g}" for form in FORMS)
        lines.append(f"| {name} | {batch} | {gflops or ''} | {numbers} | {f'{max(shares):.0%}' if shares else ''} |")
    return lines


def write_table(out: Path, file: Path) -> None:
    """Put the table between its marks in a file; a file without them becomes the table."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if BEGIN not in text:
        text = f"{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN)
    file.write_text(f"{before}{BEGIN}\n{table(out)}\n{END}{rest.split(END)[1]}", encoding="utf-8")
