"""Who of a gallery is the query: everybody compared in memory, or in a large gallery those whom its vector index proposes."""

from dataclasses import dataclass

from personsearch.boxes import Array
from personsearch.gallery import Gallery, People
from personsearch.ranking import Context, Ranked, Variant, rank, rank_cbgm
from personsearch.results import Engine

# So many times the people asked for are taken from the index, and compared exactly
CANDIDATES, FEWEST_CANDIDATES = 20, 400


@dataclass(frozen=True)
class SearchOptions:
    """How to rank; all checked before."""

    top_k: int
    min_similarity: float | None = None
    confidence_weighted: bool = False
    k1: int = 30  # of CBGM
    k2: int = 4
    variant: Variant = "paper"


@dataclass(frozen=True)
class Found:
    """The best of one query."""

    ranked: Ranked  # rows of `people`
    people: People  # everybody, or those looked at
    engine: Engine


def search(gallery: Gallery, queries: Array, contexts: list[Context] | None, options: SearchOptions) -> list[Found]:
    """The people of a gallery most similar to each query.

    With the index the cosines are exact too, but somebody similar may be missed. Similarity x score, and CBGM's choice of scenes, then
    decide among its candidates: `CANDIDATES` times as many as asked for, the most similar ones.

    Args:
        gallery: of the queries' model.
        queries: (Q, D) float32 unit rows.
        contexts: of each query for CBGM, the query first; None: by cosine.
        options: see there.

    Raises:
        GalleryPermissionError: the index must be made first, and the gallery may not be written.
    """
    if gallery.fits_in_memory:
        people = gallery.people()
        return [Found(one, people, "exact") for one in _rank(queries, contexts, people, options)]
    wanted = options.top_k if contexts is None else max(options.top_k, options.k1)
    parts = gallery.nearest(queries, max(CANDIDATES * wanted, FEWEST_CANDIDATES), scenes=contexts is not None)
    found = []
    for i, part in enumerate(parts):
        (ranked,) = _rank(queries[i : i + 1], contexts and contexts[i : i + 1], part, options)
        found.append(Found(ranked, part, "index"))
    return found


def _rank(queries: Array, contexts: list[Context] | None, people: People, options: SearchOptions) -> list[Ranked]:
    if contexts is None:
        weights = people.scores if options.confidence_weighted else None
        return rank(queries, people.embeddings, options.top_k, scores=weights, min_similarity=options.min_similarity)
    return [
        rank_cbgm(
            context,
            people.embeddings,
            people.scores,
            people.scenes,
            options.top_k,
            k1=options.k1,
            k2=options.k2,
            variant=options.variant,
            min_similarity=options.min_similarity,
        )
        for context in contexts
    ]
