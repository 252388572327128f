"""Index a source with the workers of a cluster: they detect people and write files, and this process alone commits them."""

import os
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from personsearch import checks, images
from personsearch.distributed import cluster
from personsearch.distributed.chunks import split
from personsearch.distributed.compaction import compact
from personsearch.distributed.pool import Pool, Task
from personsearch.distributed.worker import Description, opening_of
from personsearch.errors import DeviceError, ImageError, SourceError
from personsearch.gallery import Gallery, Storage, file_count, next_time
from personsearch.indexing import (
    IndexOptions,
    Plan,
    added_report,
    checked,
    choose,
    drop_unreadable,
    find_place,
    make_plan,
    open_source,
    prepare,
    reason_of,
    store_unseen,
)
from personsearch.models.base import PersonModel
from personsearch.models.onnx_device import AUTO, device_number
from personsearch.options import Precision
from personsearch.results import IndexReport
from personsearch.sources import Listing, Source

MANY_FILES = 512  # files of a gallery that the workers merge, because one process would take long
FEW = 64  # items that are looked at before a cluster is started: perhaps none of them can be read


def index(
    source: Any,
    *,
    gallery: str | os.PathLike[str] | None = None,
    model: Any = None,
    workers: int = 2,
    gpus_per_worker: float = 0,
    device: str = "auto",
    precision: Precision = "float32",
    every: int | None = None,
    min_score: float | None = None,
    batch_size: int = images.BATCH,
    threads: int = 2,
    progress: bool | None = None,
    storage: Storage | None = None,
    storage_options: dict[str, str] | None = None,
    force: bool = False,
    prune: bool = False,
) -> Gallery:
    """As `PersonSearcher.index`, with the workers of a Ray cluster; the rows are those of one machine.

    Joins the cluster of the environment variable RAY_ADDRESS, or starts one on this machine. A worker that ends costs its chunk of
    pictures, which another one reads again; this process, if it ends, costs what came since its last commit, and the next run goes on.

    Args:
        source: Folder, glob pattern, picture or video, or a list of paths, that all machines see under the same name.
        gallery: Folder or URI of the gallery, that all machines see under the same name; by default the source's own.
        model: Name or folder of a model, or a function without arguments that opens one; None: the model inside the package.
        workers: Number of workers.
        gpus_per_worker: Number of GPUs of each worker; a half lets two workers share one.
        device: Device of each worker.
        precision: Number format of a single-network model in each worker.
        every: Step between the indexed frames of a video.
        min_score: Detection score below which people are not indexed.
        batch_size: Number of images per forward pass.
        threads: Number of decoding threads of each worker.
        progress: Whether to show a progress bar on stderr; None: only on a terminal.
        storage: Number format of a new gallery's embeddings.
        storage_options: Region, endpoint and credentials of an object store; by default those of each machine's environment.
        force: Whether to read every picture again.
        prune: Whether to remove the people of folders that have gone or are empty.

    Returns:
        The gallery, whose `report` says what was done. If nothing is to be read, no cluster is started, and no model opened.

    Raises:
        MissingExtraError: Ray is not installed.
        GalleryModelError: A worker has another model than the gallery or than the other workers, for example by another backend.
        SourceError, GalleryError, ConfigError: As `PersonSearcher.index`.
        WorkerError: The workers end again and again.
    """
    workers = checks.count("workers", workers)
    checks.choice("precision", precision, get_args(Precision))  # before a cluster is started, as in from_pretrained
    if checks.text("device", device, DeviceError) != AUTO:
        device_number(device)
    options = IndexOptions(
        min_score=0.5 if min_score is None else min_score,
        every=1 if every is None else every,
        batch_size=batch_size,
        workers=threads,
        progress=progress,
        force=force,
        prune=prune,
        storage_options=storage_options,
    )
    opened = open_source(source, storage_options)
    if opened.is_stream or not (isinstance(opened.items, Listing) or all(item.content is None for item in opened.items)):
        raise SourceError("workers read files and objects that they see too; pass paths, or index in this process with PersonSearcher")
    opening = opening_of(model, device, precision)
    job = _Job(opened, gallery, options, every, min_score, storage, storage_options)
    task = Task(opening, workers, gpus_per_worker)
    return _run(job, task)


@dataclass
class _Job:
    source: Source
    location: str | os.PathLike[str] | None
    options: IndexOptions
    every: int | None  # as passed
    min_score: float | None
    storage: Storage | None
    storage_options: dict[str, str] | None


def _run(job: _Job, task: Task) -> Gallery:
    """Index without a cluster if nothing is to be read, and with one otherwise."""
    existing = _existing(job)
    if existing is not None:
        description = _description_of(existing)
        plan = _plan(job, existing, description)
        if not plan.todo:
            return _finished(job, existing, plan)
    elif job.source.problems and not job.source.items:
        raise SourceError(next(iter(job.source.problems.values())))
    with cluster.joined(task.workers) as ray, Pool(ray, task) as pool:
        description = pool.describe()
        gallery = _opened(job, existing, description)
        plan = _plan(job, gallery, description)
        prepare(gallery, plan)
        chunks = split(plan.todo, plan.done, task.workers, job.options.every)
        with gallery._guarded():  # so that no other program removes files that are not committed yet
            pool.read(chunks, gallery, job.options, gallery._read(lambda snapshot: next_time(snapshot.table)), plan)
        if file_count(gallery) > MANY_FILES:
            compact(gallery, workers=task.workers)
    return _finished(job, gallery, plan)


def _existing(job: _Job) -> Gallery | None:
    """The gallery, if its place is known without the model and it exists."""
    if job.location is None or not Gallery.exists(job.location, storage_options=job.storage_options):
        return None
    return Gallery.open(job.location, storage_options=job.storage_options)


def _description_of(gallery: Gallery) -> Description:
    """What a gallery knows about the model that made it."""
    key, min_score = gallery.key, 0.5 if gallery.min_score is None else gallery.min_score
    name, fingerprint = key.name.rpartition(" from score ")[0], key.fingerprint.rpartition("@")[0]
    return Description(name, fingerprint, key.embedding_dim, min_score, key.scenes, "the gallery")


def _opened(job: _Job, existing: Gallery | None, description: Description) -> Gallery:
    """The gallery of the workers' model, created if there is none; `job.options` gets what it was made with."""
    location = job.location
    if location is None:
        location = find_place(cast(PersonModel, description), job.source, job.options.min_score)
        if location is None:
            raise SourceError("this source names no gallery of its own; pass gallery=")
        existing = Gallery.open(location) if Gallery.exists(location) else None
    _chosen(job, existing, description)
    key = description.key(job.options.min_score)
    gallery = Gallery.create_or_open(location, key, storage=job.storage, every=job.options.every, storage_options=job.storage_options)
    gallery.set_every(job.options.every)
    return gallery


def _chosen(job: _Job, gallery: Gallery | None, description: Description) -> None:
    """Take the step and the score of the gallery, else those of the caller and the model."""
    choices = choose(gallery, cast(PersonModel, description), job.every, job.min_score, force=job.options.force)
    job.options = replace(job.options, every=choices.every, min_score=choices.min_score)


def _plan(job: _Job, gallery: Gallery, description: Description) -> Plan:
    """What is to be done; of a few new items those that cannot be read are reported at once, so that no cluster starts for them."""
    _chosen(job, gallery, description)
    plan = make_plan(job.source.items, job.source, gallery.records(), job.options, owned=job.location is None)
    if len(plan.todo) <= FEW:
        for item in list(plan.todo):
            frames = item.frames(job.options.every)
            try:
                next(frames, None)
            except (ImageError, MemoryError) as error:
                plan.unreadable[item.image] = reason_of(error, item) if isinstance(error, ImageError) else "needs more memory than there is"
                plan.todo.remove(item)
            finally:
                frames.close()
    return plan


def _finished(job: _Job, gallery: Gallery, plan: Plan) -> Gallery:
    """Do what is left of a plan once its items were read, and report it."""
    if not plan.todo:
        prepare(gallery, plan)
    if not plan.replaced.isdisjoint(plan.unreadable):
        drop_unreadable(gallery, plan)
    if plan.todo:
        gallery.tidy()
    report = added_report(IndexReport((), (), (), (), {}), plan)
    store_unseen(gallery, report, job.source.roots, owned=job.location is None)
    gallery.report = checked(report)
    return gallery
