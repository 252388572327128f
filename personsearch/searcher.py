"""The front door: `PersonSearcher` detects, embeds, indexes and searches with one model."""

import os
import tempfile
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, overload

import numpy as np

from personsearch import calibration, checks, images, indexing, searching
from personsearch.boxes import Array, check_boxes, iou
from personsearch.calibration import Calibration
from personsearch.errors import ConfigError, DeviceError, GalleryModelError, QueryError
from personsearch.gallery import Gallery, ModelKey, Storage, default_location
from personsearch.hits import Hit, Query
from personsearch.home import expand_user
from personsearch.models.base import PersonModel
from personsearch.options import Backend, Precision
from personsearch.ranking import Context, Variant
from personsearch.results import Detections, SearchResult
from personsearch.sources import open_source
from personsearch.weights import card, find, hub, read_config

# A detection that overlaps the query's box this much is the query person again, not context (SeqNet's second NMS).
SAME_PERSON_IOU = 0.5
BATCH = 8

AUTO = "auto"  # of min_similarity: what the model was calibrated to

Many: TypeAlias = list[Any] | tuple[Any, ...]  # of images or queries: a list in, a list out


class PersonSearcher:
    """Finds people in whole scene photos.

    Images are a path, bytes, a PIL picture or an RGB uint8 array (H, W, 3); boxes are xyxy pixels of the image.
    One image in, one result out; a list in, a list out.

    Args:
        model: any `PersonModel`; `from_pretrained` opens one by name or folder.
        calibration: the similarity above which two people are called the same by this model, for `min_similarity="auto"`.
    """

    def __init__(self, model: PersonModel, *, calibration: Calibration | None = None) -> None:
        self.model = model
        self.calibration = calibration
        self.folder: Path | None = None  # that the model was opened from

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | os.PathLike[str] | None = None,
        *,
        device: str = "auto",
        backend: Backend = "auto",
        precision: Precision = "float32",
        compiled: bool = False,
    ) -> "PersonSearcher":
        """Open a model.

        Args:
            name_or_folder: a model folder, a name (`personsearch models` lists them), or "hf:org/name@revision"; None: the
                small model inside the package, which needs no network.
            device: "auto" (CUDA if there is one that the backend can use), "cpu", "cuda" or "cuda:1".
            backend: "torch"; "onnx" for a file that `personsearch export` wrote, or the model inside the package; "auto":
                ONNX Runtime for such a file, and for the package's model on a CPU, where it is faster. The two keep
                galleries of their own.
            precision: of the layers of one network for whole scenes, in PyTorch: "bfloat16" is about 1.7 times as fast where the machine
                has it, moves boxes by a pixel, and has galleries of its own; "float16" is for CUDA.
            compiled: put the backbone through `torch.compile` (of one network for whole scenes, in PyTorch). Costs minutes at the first
                image and at the first batch, and needs a compiler; see benchmarks/README.md for what it gains.

        Raises:
            ModelNotFoundError: no such model; the message says how to get it, or lists what is there.
            HubError: the Hub has to be asked, and cannot be reached or refuses.
            ConfigError, WeightsError: the folder does not make a model, or not for this backend; there is no such backend.
            DeviceError: the device is not there.
            CompilerError: `compiled`, and this machine has no compiler that works.
        """
        name = find.DEFAULT if name_or_folder is None else expand_user(checks.path("name_or_folder", name_or_folder))
        checks.text("device", device, DeviceError)
        checks.choice("backend", backend, get_args(Backend))
        checks.choice("precision", precision, get_args(Precision))
        checks.flag("compiled", compiled)
        from personsearch import backends  # torch and all networks are loaded only by those who open a model

        if name.endswith(backends.ONNX_SUFFIX):
            return cls(backends.open_file(Path(name), device, backend, precision=precision, compiled=compiled))
        folder = find.find_model(name)
        model = backends.open_model(folder, device, backend, precision=precision, compiled=compiled)
        searcher = cls(model, calibration=calibration.stored(read_config(folder)))
        searcher.folder = folder
        return searcher

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the model's files into `folder`, which `from_pretrained` opens, with a model card if they have none.

        Raises:
            ConfigError: the searcher was made of a model object, which has no files.
        """
        if self.folder is None:
            raise ConfigError("this searcher was made of a model object, which has no files; open a model with from_pretrained first")
        return card.copy_with_card(self.folder, Path(expand_user(checks.path("folder", folder))))

    def push_to_hub(self, repo: str, *, private: bool = True) -> str:
        """Upload the model (config, weights, card; nothing else of its folder) to the Hugging Face Hub; returns "hf:org/name@commit".

        Make sure first that the weights' and the data's terms allow it: see the model card.

        Args:
            repo: "org/name", made if need be.
            private: visibility of a repository that is made now.

        Raises:
            ConfigError: the searcher was made of a model object, or the folder's config.json is malformed.
            WeightsError: a file of the model is missing.
            HubError: the Hub cannot be reached or refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            return f"hf:{repo}@{hub.push(self.save_pretrained(folder), repo, private=private)}"

    @overload
    def detect(self, image: images.ImageInput) -> Detections: ...
    @overload
    def detect(self, image: Many) -> list[Detections]: ...
    def detect(self, image: Any) -> Any:
        """The people of a scene: all that the network keeps, best first."""
        if not _is_list(image):
            return self.detect([image])[0]
        found: list[Detections] = []
        for start in range(0, len(image), BATCH):
            part = image[start : start + BATCH]
            results = self.model.detect([self.model.prepare(images.load(item)) for item in part])
            found += [Detections(one.boxes, one.scores, one.embeddings, item) for one, item in zip(results, part, strict=True)]
        return found

    @overload
    def embed(self, image: images.ImageInput, boxes: Any = None) -> Array: ...
    @overload
    def embed(self, image: Many, boxes: Any = None) -> list[Array]: ...
    def embed(self, image: Any, boxes: Any = None) -> Any:
        """Embeddings of the people in given boxes, or of a bare crop.

        Args:
            image: one image, or a list of them.
            boxes: (N, 4) xyxy pixels, for a list of images one such array each; None: the image is a crop of one person.

        Returns:
            (N, D) float32 unit rows, N = 1 for a crop; for a list of images a list.

        Raises:
            BoxError: a box is not finite, empty or outside its image.
        """
        if not _is_list(image):
            return self.embed([image], None if boxes is None else [boxes])[0]
        given = len(boxes) if hasattr(boxes, "__len__") else type(boxes).__name__
        if boxes is not None and given != len(image):
            raise QueryError(f"{len(image)} images need a list of {len(image)} arrays of boxes, got {given}")
        rows: list[Array] = []
        for start in range(0, len(image), BATCH):
            loaded = [images.load(item) for item in image[start : start + BATCH]]
            rows += self._embed_batch(loaded, None if boxes is None else boxes[start : start + BATCH])
        return rows

    def _embed_batch(self, loaded: list[Array], boxes: Any) -> list[Array]:
        if boxes is None:
            return list(self.model.embed_crops(loaded)[:, None])
        checked = [check_boxes(one, *picture.shape[:2]) for one, picture in zip(boxes, loaded, strict=True)]
        return self.model.embed([self.model.prepare(picture) for picture in loaded], checked)

    def index(
        self,
        source: Any,
        *,
        gallery: str | os.PathLike[str] | None = None,
        every: int = 1,
        min_score: float | None = None,
        batch_size: int = BATCH,
        workers: int = 2,
        progress: bool | None = None,
        storage: Storage | None = None,
    ) -> Gallery:
        """Detect and embed everyone of a source and keep them in a gallery; what is known already is not read again.

        Args:
            source: a folder, glob pattern, picture or video, or a list of paths or arrays.
            gallery: folder or URI of the gallery; by default a place of its own for each source and model in
                `PERSONSEARCH_HOME`.
            every: of a video, take every n-th frame.
            min_score: people below this detection score do not enter; by default the model's own threshold.
            batch_size: pictures a forward pass.
            workers: decoding threads.
            progress: a bar on stderr; None: only on a terminal.
            storage: of the embeddings: "float32", or "float16" for half the disk; None: as the gallery has it, float32 in a new one.

        Returns:
            The gallery, whose `report` says what was added, changed, removed, unchanged and unreadable.

        Raises:
            SourceError: the source holds no picture.
            GalleryModelError: the gallery was made by another model or with another `min_score`.
            GalleryPermissionError: its folder may not be written.
            GalleryError: the gallery has another storage.
            ConfigError: an option out of range, or of another kind.
        """
        options = indexing.IndexOptions(
            min_score=self.model.min_score if min_score is None else min_score,
            every=every,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
        opened = open_source(source)
        key = self._key(options.min_score)
        place = default_location(opened.key(), key.fingerprint) if gallery is None else checks.path("gallery", gallery)
        made = Gallery.create_or_open(place, key, storage=storage)
        made.report = indexing.update(self.model, opened, made, options)
        return made

    def open_gallery(
        self,
        gallery_or_source: Any,
        *,
        gallery: str | os.PathLike[str] | None = None,
        every: int = 1,
        min_score: float | None = None,
    ) -> Gallery:
        """The gallery at a place, or else the gallery of a source, brought up to date."""
        if isinstance(gallery_or_source, Gallery):
            return gallery_or_source
        if isinstance(gallery_or_source, str | os.PathLike) and Gallery.exists(gallery_or_source):
            return Gallery.open(gallery_or_source)
        return self.index(gallery_or_source, gallery=gallery, every=every, min_score=min_score)

    @overload
    def search(
        self,
        query: "images.ImageInput | Query",
        gallery: Any,
        *,
        top_k: int = 10,
        rerank: Literal["cbgm"] | None = None,
        min_similarity: float | Literal["auto"] | None = None,
        confidence_weighted: bool = False,
        cbgm_k: tuple[int, int] = (30, 4),
        cbgm_variant: Variant = "paper",
    ) -> SearchResult: ...
    @overload
    def search(
        self,
        query: Many,
        gallery: Any,
        *,
        top_k: int = 10,
        rerank: Literal["cbgm"] | None = None,
        min_similarity: float | Literal["auto"] | None = None,
        confidence_weighted: bool = False,
        cbgm_k: tuple[int, int] = (30, 4),
        cbgm_variant: Variant = "paper",
    ) -> list[SearchResult]: ...
    def search(
        self,
        query: Any,
        gallery: Any,
        *,
        top_k: int = 10,
        rerank: Literal["cbgm"] | None = None,
        min_similarity: float | Literal["auto"] | None = None,
        confidence_weighted: bool = False,
        cbgm_k: tuple[int, int] = (30, 4),
        cbgm_variant: Variant = "paper",
    ) -> Any:
        """Find a person in a gallery, best first.

        Everybody is compared, which is exact, unless the gallery is larger than its `memory_limit`: then the table's vector index
        proposes people, and the result's `engine` is "index".

        Args:
            query: a crop of the person, `Query(scene, box)`, or a list of them.
            gallery: a `Gallery`, the place of one, or a source, which is indexed first.
            top_k: at most this many hits.
            rerank: "cbgm" re-ranks by the people around the query; the query must be a `Query` with a box.
            min_similarity: hits below this cosine are left out, so that nobody may be found; "auto": below the model's
                calibrated threshold (`calibration` has its false-match and miss rates).
            confidence_weighted: rank by similarity x score; of CBGM its variant says so.
            cbgm_k: k1 images re-ranked, k2 people of the query scene, the query counted (SeqNet's values for PRW).
            cbgm_variant: "paper" (Algorithm 1) or "authors" (as their code computes it).

        Raises:
            QueryError: CBGM with a bare crop, or an option out of range or of another kind.
            GalleryModelError: the gallery holds another model's features.
        """
        queries = query if _is_list(query) else [query]
        asked = [one if isinstance(one, Query) else Query(one) for one in queries]
        least = self._least(min_similarity)
        top_k, (k1, k2) = checks.count("top_k", top_k, QueryError), checks.counts("cbgm_k", cbgm_k, QueryError)
        _check_options(asked, rerank, checks.flag("confidence_weighted", confidence_weighted, QueryError))
        checks.choice("cbgm_variant", cbgm_variant, get_args(Variant), QueryError)
        rows = self._query_rows(asked)  # before a source is indexed, so that a wrong query is named at once
        opened = self.open_gallery(gallery)
        self._check_model(opened)
        contexts = [self._context(one, row) for one, row in zip(asked, rows, strict=True)] if rerank == "cbgm" else None
        options = searching.SearchOptions(top_k, least, confidence_weighted, k1, k2, cbgm_variant)
        found = searching.search(opened, rows, contexts, options)
        results = [SearchResult(_hits(one), question, one.engine) for one, question in zip(found, asked, strict=True)]
        return results if _is_list(query) else results[0]

    def _least(self, min_similarity: float | Literal["auto"] | None) -> float | None:
        """The cosine from which on a hit counts."""
        if min_similarity is None:
            return None
        if not isinstance(min_similarity, str):
            return checks.number("min_similarity", min_similarity, QueryError)
        if min_similarity != AUTO:
            raise QueryError(f'min_similarity must be a cosine, "auto" or None, got {min_similarity!r}')
        if self.calibration is None:
            raise QueryError(
                'min_similarity="auto" needs a calibrated model, and this one is not; pass a cosine, or calibrate it on labelled pairs '
                "(personsearch.calibration.calibrate) and pass PersonSearcher(model, calibration=...)"
            )
        return self.calibration.min_similarity

    def _query_rows(self, asked: list[Query]) -> Array:
        """(Q, D) unit rows of the query people, embedded in batches."""
        rows = np.zeros((len(asked), self.model.embedding_dim), np.float32)
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            loaded = [images.load(one.image) for one in part]
            crops = [i for i, one in enumerate(part) if one.box is None]
            scenes = [i for i, one in enumerate(part) if one.box is not None]
            if crops:
                rows[[start + i for i in crops]] = self.model.embed_crops([loaded[i] for i in crops])
            if scenes:
                boxes = [_query_box(part[i], loaded[i]) for i in scenes]
                embedded = self.model.embed([self.model.prepare(loaded[i]) for i in scenes], boxes)
                rows[[start + i for i in scenes]] = np.concatenate(embedded)
        return rows

    def _context(self, query: Query, row: Array) -> Context:
        """The query scene's people for CBGM, the query first with score 1."""
        picture = images.load(query.image)
        box = _query_box(query, picture)
        (found,) = self.model.detect([self.model.prepare(picture)], min_score=self.model.min_score)
        others = found.take(iou(found.boxes, box)[:, 0] <= SAME_PERSON_IOU)
        return Context(np.concatenate([row[None], others.embeddings]), np.concatenate([np.ones(1, np.float32), others.scores]))

    def _key(self, min_score: float) -> ModelKey:
        name = f"{self.model.name} from score {min_score:g}"
        return ModelKey(name, f"{self.model.fingerprint}@{min_score:g}", self.model.embedding_dim)

    def _check_model(self, gallery: Gallery) -> None:
        """Any `min_score` will do for a search; another model will not."""
        if gallery.key.fingerprint.rpartition("@")[0] != self.model.fingerprint:
            raise GalleryModelError(
                f"gallery {gallery.location} was made by {gallery.key.name} ({gallery.key.fingerprint[:12]}), this is {self.model.name} "
                f"({self.model.fingerprint[:12]}); index the pictures again with this model, or search with that one"
            )


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _query_box(query: Query, picture: Array) -> Array:
    """(1, 4): the box of a query in a scene."""
    return check_boxes([] if query.box is None else query.box, *picture.shape[:2])


def _check_options(queries: list[Query], rerank: str | None, weighted: bool) -> None:
    checks.choice("rerank", rerank, (None, "cbgm"), QueryError)
    if rerank is not None and weighted:
        raise QueryError('confidence_weighted has no part in CBGM; cbgm_variant="authors" multiplies by the scores')
    if rerank == "cbgm" and any(query.box is None for query in queries):
        raise QueryError("CBGM compares the people around the query, and a bare crop has none; pass Query(scene, box=(x1, y1, x2, y2))")


def _hits(found: searching.Found) -> tuple[Hit, ...]:
    ranked, people = found.ranked, found.people
    return tuple(
        Hit(
            rank=rank,
            image=str(people.images[row]),
            frame=int(people.frames[row]),
            time=None if np.isnan(people.times[row]) else float(people.times[row]),
            box=tuple(people.boxes[row].tolist()),
            score=float(people.scores[row]),
            similarity=float(similarity),
            ranked_by=float(key),
        )
        for rank, (row, similarity, key) in enumerate(zip(ranked.rows, ranked.similarities, ranked.keys, strict=True), start=1)
    )
