"""Every ablation of the five papers at one small size: train, measure, and compare with the papers' numbers.

    python -m benchmarks.ablation data DATA --assets MAKEHUMAN [--workers 2]
    python -m benchmarks.ablation train DATA OUT [--only ROW ...] [--steps 1500] [--seeds 1] [--main-seeds 2] [--points 5]
                                                 [--device auto]
    python -m benchmarks.ablation table OUT [--into benchmarks/ablation/ABLATION.md]
    python -m benchmarks.ablation rows

`train` works through the rows of `rows.py`; rows that others start from come first. OUT/ROW-SEED holds the training of a row, and its
`result.json` when it is done. Finished rows are skipped, and an interrupted training resumes from its last state. Several processes may
run the same command and share the work; on a GPU, run one per core, because the networks are too small to fill it.
`--only` takes the named rows and the rows that they need. `--points 2` stops a training after the second of the five points of its
learning curve (652 of 1,467 steps), unless other rows start from it or are taught by it; delete its `result.json` to resume it.
`table` prints Markdown of the results, and compares rows at the last point that both reached.

Time, on one thread of a busy two-core machine with AVX-512: a training of 1500 steps took 14 minutes (the pre-training), 8 (`start`) or 5
(a teacher), 652 steps took 2 (NAE, DKD), 4 (AlignPS) or 6 (ROI-AlignPS), measuring included; on another machine two to three times as
long. On two cores run two processes with OMP_NUM_THREADS=1. A GPU has not been tried.
To run a claim longer: `--only` its two rows, more `--steps`, and another OUT; copy the folders of the rows that they start from there to
keep the same starts.
"""

import fcntl
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.ablation import data as data_sets
from benchmarks.ablation import report
from benchmarks.ablation.rows import MEASUREMENTS, ROWS, STEPS, Row, recipe_of
from benchmarks.ablation.verdicts import BY_COSINE, RULE, points_of
from personsearch.errors import PersonSearchError
from personsearch.evaluation import EvaluationData, EvaluationQuery, Scene, evaluate
from personsearch.models import open_folder
from personsearch.models.base import PersonModel, ranks_by_score
from personsearch.models.device import resolve_device
from personsearch.models.two_step.combined import CombinedModel
from personsearch.ranking import CBGM, context_of
from personsearch.training.checkpoint import LOG_FILE, MODEL_FOLDER, STATE_FILE
from personsearch.training.data.dataset import PeopleDataset
from personsearch.training.data.readers import NamedFolders
from personsearch.training.measure import search_scores
from personsearch.training.pretraining import read_sub_tasks
from personsearch.training.recipes.schema import ReidLosses
from personsearch.training.run import TrainOptions
from personsearch.training.run import train as train_recipe

RESULT, LOCK = "result.json", "lock"
MAIN_SEEDS, OTHER_SEEDS = 2, 1
RERANK = CBGM(k1=10, k2=3)  # the paper's values for galleries of a hundred pictures (Table 4)
SAVE_EVERY = 250  # steps between two states
WAIT = 5.0  # seconds between two looks at rows that other processes train

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Job:
    """One row with one seed."""

    row: Row
    seed: int

    def folder(self, out: Path) -> Path:
        """Folder of its training and result."""
        return out / f"{self.row.name}-{self.seed}"

    @property
    def needs(self) -> list["Job"]:
        """Jobs that must be done first."""
        return [Job(ROWS[name], self.seed) for name in self.row.needs]


class Bench:
    """Data, budget and output folder of all rows."""

    def __init__(self, data: Path, out: Path, steps: int, device: str, points: int = MEASUREMENTS) -> None:
        self.data, self.out, self.steps = data, out.resolve(), steps  # a recipe names folders in `out` and must not change to resume
        self.points = points
        self.device = resolve_device(device)

    @cached_property
    def train_set(self) -> PeopleDataset:
        """Training data of the rows, decoded at the first use."""
        return data_sets.train_set(self.data)

    @cached_property
    def test_set(self) -> PeopleDataset:
        """Test data of the rows."""
        return data_sets.test_set(self.data)

    def model(self, name: str, seed: int) -> Path:
        """Model folder of a trained row."""
        return Job(ROWS[name], seed).folder(self.out) / MODEL_FOLDER

    def run(self, job: Job) -> dict[str, Any]:
        """Train or measure a row; its numbers."""
        started = time.time()
        numbers = self._train(job) if job.row.recipe else self._measure(job)
        about = {"row": job.row.name, "seed": job.seed, "steps": self.steps, "device": self.device}
        return about | numbers | {"seconds": round(time.time() - started)}

    def _train(self, job: Job) -> dict[str, Any]:
        row, folder = job.row, job.folder(self.out)
        initial = self.model(row.initial, job.seed) if row.initial else None
        learned = self._learned(row)
        recipe = recipe_of(row, job.seed, 1 if isinstance(learned, list) else len(learned), steps=self.steps, initial=initial)
        if recipe.pretraining is not None and isinstance(learned, list):
            recipe = recipe_of(row, job.seed, len(read_sub_tasks(recipe.pretraining, learned)), steps=self.steps, initial=initial)
        options = TrainOptions(
            device=self.device,
            resume=(folder / STATE_FILE).exists(),
            teacher=self.model(row.teacher, job.seed) if row.teacher else None,
            test_data=self.test_set if row.is_measured else None,
            save_every=SAVE_EVERY,
            epochs=None if row.serves else self.points * recipe.evaluate_every,
            progress=sys.stderr.isatty(),
        )
        train_recipe(recipe, learned, folder, options)
        lines = [json.loads(line) for line in (folder / LOG_FILE).read_text(encoding="utf-8").splitlines()]
        measured = [line for line in lines if "mAP" in line]
        last_step = max(line["step"] for line in lines)
        crops = isinstance(recipe.losses, ReidLosses)
        # interrupted after its last step, during the measurement
        if row.is_measured and (not measured or measured[-1]["step"] < last_step):
            scores = search_scores(open_folder(folder / MODEL_FOLDER, self.device), self.test_set, true_boxes=crops)
            measured.append({"step": last_step, **scores})
        curve = [[line["step"], round(line["mAP"], 4)] for line in measured]
        last = {key: value for key, value in measured[-1].items() if key not in ("step", "epoch")} if measured else {}
        if last.get(RULE):
            model = open_folder(folder / MODEL_FOLDER, self.device)
            last[BY_COSINE] = search_scores(model, self.test_set, true_boxes=crops, confidence_weighted=False)["mAP"]
        return {"seconds_of_steps": round(sum(line.get("seconds", 0) for line in lines)), "curve": curve, **last}

    def _learned(self, row: Row) -> PeopleDataset | NamedFolders:
        if row.learns_from == "sub-tasks":
            return data_sets.sub_tasks(self.data)
        return self.train_set if row.is_measured else data_sets.start_set(self.data)

    def _measure(self, job: Job) -> dict[str, Any]:
        row, device = job.row, self.device
        with changed(self.model(row.of, job.seed), dict(row.changes)) as folder:
            model = open_folder(folder, device)
        if row.detector:
            model = CombinedModel(open_folder(self.model(row.detector, job.seed), device), model)
        measure = cbgm_scores if row.cbgm else partial(search_scores, true_boxes=row.true_boxes)
        scores = measure(model, self.test_set)
        if scores.get(RULE):
            scores[BY_COSINE] = measure(model, self.test_set, confidence_weighted=False)["mAP"]
        learned = [json.loads((need.folder(self.out) / RESULT).read_text(encoding="utf-8")) for need in job.needs]
        return {"points": min(points_of(one) for one in learned), **scores}


@contextmanager
def changed(model: Path, changes: dict[str, Any]) -> Iterator[Path]:
    """Temporary copy of a model folder with changes of its config.json."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        shutil.copytree(model, folder, dirs_exist_ok=True)
        config = folder / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text(encoding="utf-8")) | changes), encoding="utf-8")
        yield folder


def cbgm_scores(model: PersonModel, dataset: PeopleDataset, *, confidence_weighted: bool | None = None) -> dict[str, float]:
    """`search_scores` with the people around each query: CBGM by the rule of the model's paper, or by `confidence_weighted`."""
    weighted = ranks_by_score(model) if confidence_weighted is None else confidence_weighted
    scenes, queries = [], []
    for number in range(len(dataset)):
        sample = dataset[number]
        prepared = model.prepare(sample.image)
        (detections,) = model.detect([prepared], min_score=model.min_score)
        scenes.append(Scene(str(number), sample.camera, sample.boxes, sample.identities, detections))
        (rows,) = model.embed([prepared], [sample.boxes])
        for box, identity, row in zip(sample.boxes, sample.identities.tolist(), rows, strict=True):
            context = context_of(row, box, detections)
            queries.append(EvaluationQuery(str(number), sample.camera, identity, row, context))
    data = EvaluationData(tuple(scenes), tuple(queries))
    measured = evaluate(data, protocol="prw", rerank=RERANK, confidence_weighted=weighted, min_score=0.0)
    search, detection = measured["search"], measured["detection"]["all"]
    return {
        "mAP": search["mAP"],
        "top1": search["top1"],
        "recall": detection["recall"],
        "ap": detection["ap"],
        "queries": search["queries"],
        RULE: weighted,
    }


def jobs_of(only: list[str] | None, seeds: int, main_seeds: int) -> list[Job]:
    """All jobs in order of work; a row that others need has as many seeds as they have.

    Raises:
        BadParameter: typer's; a row is unknown.
    """
    unknown = set(only or ()) - ROWS.keys()
    if unknown:
        raise typer.BadParameter(f"unknown row {', '.join(sorted(unknown))}; the rows are {', '.join(ROWS)}")
    jobs: dict[Job, None] = {}

    def add(job: Job) -> None:
        for needed in job.needs:
            add(needed)
        jobs[job] = None

    def count(row: Row) -> int:
        if not row.recipe:
            return min(count(ROWS[name]) for name in row.needs)
        return main_seeds if row.main else seeds

    for name in only or ROWS:
        for seed in range(1, 1 + count(ROWS[name])):
            add(Job(ROWS[name], seed))
    return list(jobs)


def read_results(out: Path, steps: int | None = None) -> dict[str, list[dict[str, Any]]]:
    """Results of each row, by seed; without rows that only serve as a start.

    Raises:
        BadParameter: typer's; the folder holds results of several budgets.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    budgets = set() if steps is None else {steps}
    for file in sorted(out.glob(f"*/{RESULT}")):
        result = json.loads(file.read_text(encoding="utf-8"))
        if "mAP" in result:
            budgets.add(result["steps"])
            results.setdefault(result["row"], []).append(result)
    if len(budgets) > 1:
        raise typer.BadParameter(f"{out} would mix trainings of {' and '.join(map(str, sorted(budgets)))} steps; choose another folder")
    return results


def work(bench: Bench, jobs: list[Job]) -> list[Job]:
    """Do all jobs, sharing them with other processes; the jobs that failed and the jobs that need these."""
    left, failed = list(jobs), []
    while left:
        before = len(left)
        for job in list(left):
            if any(needed in failed for needed in job.needs):
                failed.append(job)
                left.remove(job)
            elif all(is_done(needed, bench.out) for needed in job.needs):
                try:
                    done = is_done(job, bench.out) or do(job, bench)
                except PersonSearchError as error:
                    typer.echo(f"{job.row.name}, seed {job.seed}: {error}", err=True)
                    failed.append(job)
                    done = True
                if done:
                    left.remove(job)
        if len(left) == before:
            time.sleep(WAIT)
    return failed


def is_done(job: Job, out: Path) -> bool:
    """Whether its result exists."""
    return (job.folder(out) / RESULT).exists()


def do(job: Job, bench: Bench) -> bool:
    """Do a job and write its result; False, at once, if another process does it."""
    folder = job.folder(bench.out)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the process ends, however it ends
        except BlockingIOError:
            return False
        if not is_done(job, bench.out):
            result = bench.run(job)
            (unfinished := folder / f"{RESULT}.new").write_text(json.dumps(result) + "\n", encoding="utf-8")
            unfinished.rename(folder / RESULT)
            typer.echo(json.dumps({key: value for key, value in result.items() if key != "curve"}))
    return True


@app.command()
def data(folder: Path, assets: Annotated[Path, typer.Option(help="Folder of MakeHuman meshes.")], workers: int = 1) -> None:
    """Render the missing data sets."""
    for part in data_sets.make(folder, assets, workers=workers):
        typer.echo(str(part))


@app.command()
def train(
    folder: Annotated[Path, typer.Argument(help="Folder of the data.")],
    out: Path,
    only: Annotated[list[str] | None, typer.Option(help="Row to train; repeat it for several.")] = None,
    steps: int = STEPS,
    seeds: int = OTHER_SEEDS,
    main_seeds: int = MAIN_SEEDS,
    points: Annotated[int, typer.Option(min=1, max=MEASUREMENTS, help="Number of points of the learning curve to train.")] = MEASUREMENTS,
    device: str = "auto",
    assets: Annotated[Path | None, typer.Option(help="Folder of MakeHuman meshes, to render missing data.")] = None,
) -> None:
    """Train and measure the rows that are not done yet."""
    jobs = jobs_of(only, seeds, main_seeds)
    if not data_sets.is_complete(folder, {job.row.learns_from for job in jobs}):
        if assets is None:
            raise typer.BadParameter(f"{folder} lacks data; render them with the command `data`, or pass --assets")
        data(folder, assets)
    read_results(out, steps)  # fails before any work if the folder has another budget
    if failed := work(Bench(folder, out, steps, device, points), jobs):
        typer.echo(f"not done: {', '.join(f'{job.row.name} {job.seed}' for job in failed)}", err=True)
        raise typer.Exit(1)


@app.command()
def table(
    out: Path, into: Annotated[Path | None, typer.Option(help="Write the parts into this file, each between its two marks.")] = None
) -> None:
    """Markdown: five lines a paper, the claims, the rows, and the learning curves of required claims that were not confirmed."""
    results = read_results(out)
    parts = {name: part(results) for name, part in report.PARTS.items()}
    if into is None:
        typer.echo("\n".join(parts.values()), nl=False)
    else:
        into.write_text(report.insert_parts(into.read_text(encoding="utf-8"), parts), encoding="utf-8")


@app.command()
def rows(seeds: int = OTHER_SEEDS, main_seeds: int = MAIN_SEEDS) -> None:
    """Print the rows in order of work, each with the rows that it needs."""
    for job in jobs_of(None, seeds, main_seeds):
        typer.echo(f"{job.row.name} {job.seed} {'trains' if job.row.recipe else 'measures'} {' '.join(job.row.needs)}".rstrip())


if __name__ == "__main__":
    app()
