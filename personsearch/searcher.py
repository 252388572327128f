"""The entry point: `PersonSearcher` detects, embeds, indexes and searches with one model."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, Unpack, get_args, overload

import numpy as np

from personsearch import calibration, checks, images, indexing, render, searching
from personsearch.boxes import Array, check_pixels
from personsearch.calibration import Calibration
from personsearch.errors import ConfigError, DeviceError, QueryError
from personsearch.gallery import Gallery, Storage
from personsearch.hits import Detection, Hit, Query, Shots
from personsearch.home import expand_user
from personsearch.models.base import PersonModel, checked_model, device_of, on_device, scene_filter_of
from personsearch.options import Backend, Precision
from personsearch.query import EmbeddedQuery, in_batches
from personsearch.ranking import Reranking, SceneFiltering
from personsearch.results import Detections, SearchResult
from personsearch.searching import EmbeddedShots, SearchKeywords, SearchOptions, is_gallery
from personsearch.weights import card, find, hub, read_config

Many: TypeAlias = list[Any] | tuple[Any, ...]  # several images or queries; the result is a list
OnePicture: TypeAlias = "images.ImageInput | Query | EmbeddedQuery | Hit | Detection"
OneQuery: TypeAlias = "OnePicture | Shots | EmbeddedShots"


class PersonSearcher:
    """Finds people in whole scene photos.

    An image is a path, bytes, a PIL picture or an RGB uint8 array (H, W, 3). Boxes are xyxy pixels of the image.
    One image in, one result out; a list in, a list out.

    Args:
        model: Any `PersonModel`; `from_pretrained` opens one by name or folder.
        calibration: The model's threshold for `min_similarity="auto"`.
    """

    def __init__(self, model: PersonModel, *, calibration: Calibration | None = None) -> None:
        self.model = checked_model(model)
        self.calibration = calibration
        self.folder: Path | None = None  # the model's folder; None: the model was passed as an object
        self._opening: tuple[str, dict[str, Any]] | None = None  # arguments of `from_pretrained` that open the same model

    def __repr__(self) -> str:
        device, dim = on_device(self.model), self.model.embedding_dim
        return f"PersonSearcher({self.model.name!r}, {type(self.model).__name__}{device}, {dim} dimensions)"

    def _repr_html_(self) -> str:
        return render.searcher_html(self.model, repr(self), None if self.calibration is None else self.calibration.min_similarity)

    def __reduce__(self) -> tuple[Any, ...]:
        """A searcher travels to another process as the way it was opened; its model is opened again there.

        Raises:
            ConfigError: the model was passed as an object.
        """
        if self._opening is None:
            raise ConfigError(
                "this searcher cannot be pickled, as its model was passed as an object; open a model with from_pretrained, or make the "
                "searcher in each process"
            )
        return _open_again, (*self._opening, self.calibration)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | os.PathLike[str] | None = None,
        *,
        device: str = "auto",
        backend: Backend = "auto",
        precision: Precision = "float32",
        compiled: bool = False,
        tiles: tuple[int, int] | None = None,
    ) -> "PersonSearcher":
        """Open a model.

        Args:
            name_or_folder: Model folder, name (`personsearch models` lists them), or "hf:org/name@revision"; None: the
                small model inside the package, which needs no network.
            device: "auto" (CUDA if the backend can use it, else the CPU), "cpu", "cuda" or "cuda:1".
            backend: "torch"; "onnx" for a file that `personsearch export` wrote, or the model inside the package; "auto":
                ONNX Runtime for such a file, and for the package's model on a CPU, where it is faster. Each backend has
                its own galleries.
            precision: Number format of a single-network model in PyTorch. "bfloat16" is about 1.7 times as fast on machines
                with native support, moves boxes by up to a pixel, and has its own galleries; "float16" is for CUDA.
            compiled: Whether to run the backbone of a single-network model through `torch.compile`. Compiling takes minutes at
                the first image and at the first batch, and needs a compiler; benchmarks/README.md has the gain.
            tiles: (rows, columns) of overlapping tiles that the detector searches beside the whole picture: finds smaller people and
                takes longer. For the bundled models and two-step models with YOLOX; has its own galleries.

        Raises:
            ModelNotFoundError: unknown model; the message lists the known ones, or says how to get it.
            HubError: the Hub must be asked, and cannot be reached or refuses.
            ConfigError, WeightsError: the folder does not hold a valid model, or not one for this backend; unknown backend.
            DeviceError: the device does not exist.
            CompilerError: `compiled` is set, and this machine has no working compiler.
        """
        name = find.DEFAULT if name_or_folder is None else expand_user(checks.path("name_or_folder", name_or_folder))
        checks.text("device", device, DeviceError)
        checks.choice("backend", backend, get_args(Backend))
        checks.choice("precision", precision, get_args(Precision))
        checks.flag("compiled", compiled)
        from personsearch import backends  # loads torch and all networks; only opening a model needs them

        keywords: dict[str, Any] = {"device": device, "backend": backend, "precision": precision, "compiled": compiled, "tiles": tiles}
        is_file = name.endswith(backends.ONNX_SUFFIX)
        path = Path(name) if is_file else find.find_model(name)
        model = backends.open_path(path, **keywords)
        searcher = cls(model, calibration=None if is_file else calibration.stored(read_config(path)))
        searcher.folder = None if is_file else path
        searcher._opening = os.path.abspath(path), keywords
        return searcher

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the model's files into `folder`, which `from_pretrained` opens; adds a model card if there is none.

        Raises:
            ConfigError: the model was passed as an object or opened from one file, so it has no folder.
            OSError: the folder cannot be written.
        """
        if self.folder is None:
            if self._opening is not None:
                raise ConfigError(f"{self._opening[0]} is one file, which from_pretrained opens: copy it, or open the folder it is from")
            raise ConfigError("this searcher's model was passed as an object and has no files; open a model with from_pretrained first")
        return card.copy_with_card(self.folder, Path(expand_user(checks.path("folder", folder))))

    def push_to_hub(self, repo: str, *, private: bool = True) -> str:
        """Upload the model (config, weights and card only) to the Hugging Face Hub; returns "hf:org/name@commit".

        Check first that the terms of the weights and the data allow it: see the model card.

        Args:
            repo: "org/name"; created if it does not exist.
            private: Visibility of a repository that is created.

        Raises:
            ConfigError: the model was passed as an object or opened from one file, or the folder's config.json is malformed.
            WeightsError: a file of the model is missing.
            HubError: the Hub cannot be reached or refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            return f"hf:{repo}@{hub.push(self.save_pretrained(folder), repo, private=private)}"

    @overload
    def detect(self, image: "images.ImageInput | Query", *, min_score: float | None = None) -> Detections: ...
    @overload
    def detect(self, image: Many, *, min_score: float | None = None) -> list[Detections]: ...
    def detect(self, image: Any, *, min_score: float | None = None) -> Any:
        """The people of a scene, best score first; `Query(image, person=N)` names one of them by number, from 1.

        Args:
            image: One image, or a list of images; `Query(path, time=12.4)` is the frame of a video.
            min_score: Score below which people are dropped; None: the model's own threshold, as for a gallery and on the command
                line; 0 gives all that the network keeps.

        Raises:
            ImageError: the image cannot be read. Of a list, all images are tried, and an `ImagesError` names those that cannot be
                read and holds the others' results.
            ConfigError: `min_score` is not within 0..1.
        """
        if not _is_list(image):
            return self.detect([image], min_score=min_score)[0]
        least = self.model.min_score if min_score is None else checks.number("min_score", min_score)
        if not 0 <= least <= 1:
            raise ConfigError(f"min_score must be within 0..1, got {least:g}")

        def run(positions: list[int], pictures: list[Array]) -> list[Detections]:
            detections = self.model.detect([self.model.prepare(picture) for picture in pictures], min_score=least)
            return [
                replace(people, image=image[i], numbers=np.arange(1, len(people) + 1))
                for i, people in zip(positions, detections, strict=True)
            ]

        return in_batches([_picture(item) for item in image], run)

    @overload
    def embed(self, image: images.ImageInput, boxes: Any = None) -> Array: ...
    @overload
    def embed(self, image: Many, boxes: Any = None) -> list[Array]: ...
    def embed(self, image: Any, boxes: Any = None) -> Any:
        """Embeddings of the people in given boxes, or of a bare crop.

        Args:
            image: One image, or a list of images.
            boxes: (N, 4) xyxy pixels, for a list of images one such array each; None: the image is a crop of one person.

        Returns:
            (N, D) float32 unit rows, N = 1 for a crop; for a list of images a list.

        Raises:
            BoxError: a box is not finite, empty or outside its image.
        """
        if not _is_list(image):
            return self.embed([image], None if boxes is None else [boxes])[0]
        length = len(boxes) if hasattr(boxes, "__len__") else type(boxes).__name__
        if boxes is not None and length != len(image):
            raise QueryError(f"{len(image)} images need a list of {len(image)} arrays of boxes, got {length}")

        def run(positions: list[int], pictures: list[Array]) -> list[Array]:
            if boxes is None:
                return list(self.model.embed_crops(pictures)[:, None])
            checked = [check_pixels(boxes[i], *picture.shape[:2]) for i, picture in zip(positions, pictures, strict=True)]
            return self.model.embed([self.model.prepare(picture) for picture in pictures], checked)

        return in_batches([_picture(item) for item in image], run)

    def index(
        self,
        source: Any,
        *,
        gallery: str | os.PathLike[str] | None = None,
        every: int | None = None,
        min_score: float | None = None,
        batch_size: int = images.BATCH,
        workers: int = 2,
        progress: indexing.OnProgress | bool | None = None,
        storage: Storage | None = None,
        force: bool = False,
        prune: bool = False,
        storage_options: dict[str, str] | None = None,
    ) -> Gallery:
        """Detect and embed the people of a source into a gallery. Images indexed before are read again only if they changed.

        Args:
            source: Folder, glob pattern, picture or video, or a list of paths or arrays.
            gallery: Folder or URI of the gallery; by default one for each source and model in `PERSONSEARCH_HOME`.
            every: Step between the indexed frames of a video; 1 indexes all frames. None: the gallery's own, 1 for a new gallery.
            min_score: Detection score below which people are not indexed. None: the gallery's own, for a new gallery the model's.
            batch_size: Number of images per forward pass.
            workers: Number of decoding threads.
            progress: Whether to show a progress bar on stderr; None: only on a terminal. A function gets a `Progress` after each batch.
            storage: Number format of the embeddings: "float32", or "float16" for half the disk; None: the gallery's own, or float32.
            force: Whether to read every picture again; `every` may then differ from the gallery's.
            prune: Whether to remove the people of folders that have gone or are empty. Without it they stay, as a disk may be
                missing, and the report's `not_seen` names the folders. Deleted pictures of other folders are always removed.
            storage_options: Region, endpoint and credentials of an object store; by default those of the environment.

        Returns:
            The gallery, whose `report` says what was added, changed, renamed, removed, unchanged, unreadable and not seen.

        Raises:
            SourceError: the source holds no picture, or none that can be read.
            GalleryModelError: the gallery was made by another model.
            GalleryOptionError: the gallery was indexed with another `every` or `min_score`.
            GalleryPermissionError: the gallery's folder is not writable.
            GalleryError: the gallery has another storage.
            ConfigError: an option is out of range or has the wrong type.
        """
        options = indexing.IndexOptions(
            min_score=self.model.min_score if min_score is None else min_score,
            every=1 if every is None else every,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
            force=force,
            prune=prune,
            storage_options=storage_options,
        )
        location = None if gallery is None else checks.path("gallery", gallery)
        return indexing.index_source(self.model, source, options, gallery=location, every=every, min_score=min_score, storage=storage)

    def open_gallery(
        self,
        gallery_or_source: Any,
        *,
        gallery: str | os.PathLike[str] | None = None,
        every: int | None = None,
        min_score: float | None = None,
    ) -> Gallery:
        """The gallery at a folder or URI; for a source, its gallery, brought up to date as by `index`, with the options of that."""
        if isinstance(gallery_or_source, Gallery):
            return gallery_or_source
        if isinstance(gallery_or_source, str | os.PathLike):
            images.refuse_address(os.fsdecode(gallery_or_source), stores=True)
            if Gallery.exists(gallery_or_source):
                return Gallery.open(gallery_or_source)
        return self.index(gallery_or_source, gallery=gallery, every=every, min_score=min_score)

    def open_galleries(
        self,
        galleries_or_source: Any,
        *,
        gallery: str | os.PathLike[str] | None = None,
        every: int | None = None,
        min_score: float | None = None,
    ) -> list[Gallery]:
        """The galleries that a search compares, each once; the arguments are those of `open_gallery`.

        A list with a `Gallery`, or the folder or URI of one (ending with ".lance"), names several galleries or sources; else it is one.
        """
        several = _is_list(galleries_or_source) and any(is_gallery(one) for one in galleries_or_source)
        opened = [
            self.open_gallery(one, gallery=gallery, every=every, min_score=min_score)
            for one in (galleries_or_source if several else [galleries_or_source])
        ]
        return list({one.location: one for one in opened}.values())

    @overload
    def embed_query(
        self, query: Shots | EmbeddedShots, *, rerank: Reranking | None = None, scene_filter: SceneFiltering | None = None
    ) -> EmbeddedShots: ...
    @overload
    def embed_query(
        self, query: OnePicture, *, rerank: Reranking | None = None, scene_filter: SceneFiltering | None = None
    ) -> EmbeddedQuery: ...
    def embed_query(self, query: Any, *, rerank: Reranking | None = None, scene_filter: SceneFiltering | None = None) -> Any:
        """A query read once, for searching several times with `search`.

        Args:
            query: Crop of the person, `Query(scene, box)`, `Query(scene, person=N)`, a hit, a detection, or `Query.of` several of these.
            rerank: Re-ranking of the searches to come; CBGM needs the people around the query.
            scene_filter: Scene filter of the searches to come; GFN needs the query's whole scene.

        Raises:
            QueryError: CBGM with a bare crop.
            ImageError: the image cannot be read.
            BoxError: the box is outside the image.
        """
        options = SearchOptions(rerank=rerank, scene_filter=scene_filter)
        (embedded,) = searching.embed_all(self.model, [searching.as_any_query(query)], options)
        searching.rows_of(embedded)
        searching.warn([query], [embedded])
        return embedded

    @overload
    def search(
        self, query: Many, gallery: Any, options: SearchOptions | None = None, **keywords: Unpack[SearchKeywords]
    ) -> list[SearchResult]: ...
    @overload
    def search(
        self, query: OneQuery, gallery: Any, options: SearchOptions | None = None, **keywords: Unpack[SearchKeywords]
    ) -> SearchResult: ...
    def search(self, query: Any, gallery: Any, options: SearchOptions | None = None, **keywords: Unpack[SearchKeywords]) -> Any:
        """Find a person in a gallery, best first.

        The query is compared with every person of the gallery, exactly. If a gallery is larger than its `memory_limit`, it is
        compared with candidates of the table's vector index, and the result's `engine` is "index".

        Args:
            query: Crop of the person, `Query(scene, box)`, `Query(scene, person=N)`, a hit, a detection, `Query.of` several of these,
                what `embed_query` returned, or a list of these, which gives a list. Without box, person and `crop=True` the detector
                looks at the picture too, and a `QueryWarning` names the people in it if it does not look like a crop of one person.
            gallery: `Gallery`, its folder or URI, a source, which is indexed first, or a list of galleries (see `open_galleries`);
                each hit names its `gallery`.
            options: The keywords below as one value; a keyword replaces its field.
            top_k (int): Largest number of hits, 10 by default.
            rerank (Reranking | None): `CBGM(k1, k2, variant)` re-ranks by the people around the query, which must be a person of a
                scene; `KReciprocal(k1, k2, weight, candidates)` by mutual neighbours among the best candidates;
                `QueryExpansion(neighbours, alpha)` searches again with the best people added to the query. "cbgm", "k-reciprocal"
                and "query-expansion" are short for their defaults. None by default.
            min_similarity (float | "auto" | None): Cosine below which hits are dropped, so that the result may be empty; "auto": the
                model's calibrated threshold (`calibration` has its false-match and miss rates). None, the default, drops none.
            confidence_weighted (bool | None): Whether to rank by similarity x score; by default as the model's paper, see `ranked_by`.
            scene_filter (GFN | "gfn" | None): `GFN(min_scene_score)` multiplies by GFN's score of each scene and leaves out scenes
                below a threshold; it needs a model with GFN and a query with its scene. None by default.
            where (Where | None): Part of the gallery to search: `Where(folder=, image=, start=, end=, min_score=, min_height=)`.
            group_by, or group ("image" | "spell" | None): Whether to give only the best hit of each picture or video, or of each spell:
                one person's stretch of neighbouring video frames, with `start` and `end`.
            gap (float): Largest number of seconds without the person within a spell, 1 by default.
            exclude ("frame" | "image" | None): Whether to leave out the query's own picture or frame, or its picture or whole video.

        Raises:
            QueryError: CBGM with a bare crop, or an option is out of range or has the wrong type.
            GalleryModelError: the gallery holds another model's features.
        """
        if not isinstance(options, SearchOptions | None):
            raise QueryError(f"options must be SearchOptions, got {type(options).__name__}; pass the other values as keywords")
        options = replace(options or SearchOptions(), **keywords).of_model(self.model)
        options.threshold(self.calibration)  # like the query, checked before a source is indexed
        several = _is_list(query)
        queries = [searching.as_any_query(item) for item in (query if several else [query])]
        embedded = searching.embed_all(self.model, queries, options)
        rows = [searching.rows_of(item, options.exclude) for item in embedded]
        searching.warn(queries, embedded)
        galleries = self.open_galleries(gallery)
        for opened in galleries:
            searching.check_model(opened, self.model)
        ranked = searching.search(galleries, rows, options, self.calibration, scene_filter_of(self.model), device=device_of(self.model))
        results = searching.results_of(ranked, embedded, galleries, self.calibration, options.rule)
        return results if several else results[0]


def _open_again(name: str, keywords: dict[str, Any], calibration: Calibration | None) -> PersonSearcher:
    """The searcher that was pickled."""
    searcher = PersonSearcher.from_pretrained(name, **keywords)
    searcher.calibration = calibration
    return searcher


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _picture(value: Any) -> Query:
    """An image of a caller as a query of which only the picture counts."""
    return value if isinstance(value, Query) else Query(value)
