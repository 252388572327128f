"""Options of a search: which people are compared, and how they are ranked."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypedDict, get_args

from personsearch import checks
from personsearch.calibration import Calibration
from personsearch.errors import QueryError
from personsearch.gallery import Where, where_options
from personsearch.models.base import PersonModel, ranks_by_score
from personsearch.ranking import (
    CBGM,
    GFN,
    KReciprocal,
    QueryExpansion,
    Reranking,
    SceneFiltering,
    reranking_options,
    rule_name,
    scene_filter_options,
)
from personsearch.searching.exclusion import Exclude, exclude_options
from personsearch.tracks import GAP, check_gap

GroupBy: TypeAlias = Literal["image", "spell"]


class SearchKeywords(TypedDict, total=False):
    """Keywords of `PersonSearcher.search`; each is a field of `SearchOptions`."""

    top_k: int
    rerank: Reranking | None
    min_similarity: float | Literal["auto"] | None
    confidence_weighted: bool | None
    scene_filter: SceneFiltering | None
    where: Where | None
    group_by: GroupBy | None
    group: GroupBy | None
    gap: float
    exclude: Exclude | bool | None


@dataclass(frozen=True)
class SearchOptions:
    """How to rank a gallery.

    Raises:
        QueryError: an option is out of range or has the wrong type, or two options exclude each other.
    """

    top_k: int = 10  # largest number of hits
    rerank: Reranking | None = None  # re-rank with CBGM, by k-reciprocal neighbours, or with an expanded query
    min_similarity: float | Literal["auto"] | None = None  # cosine below which hits are dropped; "auto": the model's calibrated one
    confidence_weighted: bool | None = None  # rank by cosine x score, with CBGM too; None: the rule of the model's paper
    scene_filter: SceneFiltering | None = None  # multiply by GFN's score of each scene, and leave out the scenes below its threshold
    where: Where | None = None  # part of the gallery to search
    group_by: GroupBy | None = None  # only the best hit of each "image" (picture or video), or of each "spell" in a video
    group: GroupBy | None = None  # short for group_by, and None afterwards
    gap: float = GAP  # seconds without the person within one spell
    exclude: Exclude | bool | None = None  # leave out the query's own picture or "frame", or "image": picture or whole video

    def __post_init__(self) -> None:
        object.__setattr__(self, "top_k", checks.count("top_k", self.top_k, QueryError))
        object.__setattr__(self, "rerank", reranking_options(self.rerank, QueryError))
        object.__setattr__(self, "scene_filter", scene_filter_options(self.scene_filter, QueryError))
        object.__setattr__(self, "where", where_options(self.where))
        object.__setattr__(self, "gap", check_gap(self.gap))
        object.__setattr__(self, "exclude", exclude_options(self.exclude))
        checks.choice("group", self.group, (*get_args(GroupBy), None), QueryError)
        checks.choice("group_by", self.group_by, (*get_args(GroupBy), None), QueryError)
        if self.group is not None and self.group_by not in (None, self.group):
            raise QueryError(f'group="{self.group}" and group_by="{self.group_by}" contradict each other; pass one of them')
        object.__setattr__(self, "group_by", self.group or self.group_by)
        object.__setattr__(self, "group", None)
        if self.scene_filter is not None and self.rerank is not None:
            raise QueryError("rerank and scene_filter are two ways to change the ranking; choose one of them")
        if isinstance(self.min_similarity, str) and self.min_similarity != "auto":
            raise QueryError(f'min_similarity must be a cosine, "auto" or None, got {self.min_similarity!r:.80}')
        if not isinstance(self.min_similarity, str | None):
            object.__setattr__(self, "min_similarity", checks.number("min_similarity", self.min_similarity, QueryError))
        if self.confidence_weighted is not None:
            checks.flag("confidence_weighted", self.confidence_weighted, QueryError)
        if self.confidence_weighted and self.k_reciprocal is not None:
            raise QueryError("k-reciprocal re-ranking compares embeddings only and does not use confidence_weighted; leave one of them out")

    @property
    def cbgm(self) -> CBGM | None:
        """Options of CBGM, or None without it."""
        return self.rerank if isinstance(self.rerank, CBGM) else None

    @property
    def k_reciprocal(self) -> KReciprocal | None:
        """Options of re-ranking by k-reciprocal neighbours, or None without it."""
        return self.rerank if isinstance(self.rerank, KReciprocal) else None

    @property
    def expansion(self) -> QueryExpansion | None:
        """Options of query expansion, or None without it."""
        return self.rerank if isinstance(self.rerank, QueryExpansion) else None

    @property
    def gfn(self) -> GFN | None:
        """Options of the scene filter, or None for no filter."""
        return scene_filter_options(self.scene_filter)

    def of_model(self, model: PersonModel) -> "SearchOptions":
        """The same options, with the model's rule where none was chosen; k-reciprocal re-ranking compares cosines."""
        if self.confidence_weighted is not None:
            return self
        return replace(self, confidence_weighted=self.k_reciprocal is None and ranks_by_score(model))

    @property
    def rule(self) -> str:
        """What the ranking follows, in words (see `rule_name`)."""
        rerank = None if self.rerank is None else reranking_options(self.rerank)
        return rule_name(confidence_weighted=bool(self.confidence_weighted), rerank=rerank, gfn=self.gfn)

    def threshold(self, calibration: Calibration | None) -> float | None:
        """The cosine below which hits are dropped, or None.

        Raises:
            QueryError: it is "auto", and the model has no calibration.
        """
        if not isinstance(self.min_similarity, str):
            return self.min_similarity
        if calibration is None:
            raise QueryError(
                'min_similarity="auto" needs a calibrated model, and this one has no calibration; pass a cosine, or calibrate it on '
                "labelled pairs (personsearch.calibration.calibrate) and pass PersonSearcher(model, calibration=...)"
            )
        return calibration.min_similarity
