"""personsearch: find a person in whole scene photos. Detect everyone, embed everyone, rank.

Importing does no work and loads no heavy library; names come in when first used. The names of `__all__` are public, and so are
`personsearch.errors` and `personsearch.ui.create_app`. Everything else is internal and may change without notice.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from personsearch.errors import PersonSearchError, QueryWarning

if TYPE_CHECKING:
    from personsearch.calibration import Calibration, calibrate
    from personsearch.evaluation import evaluate, evaluate_file
    from personsearch.gallery import Gallery, Person, Where
    from personsearch.hits import Detection, Hit, Query, Shots
    from personsearch.memory import keep_freed_memory
    from personsearch.models.base import PersonModel
    from personsearch.models.two_step import save_combined, save_two_step
    from personsearch.ranking import CBGM, GFN, KReciprocal, QueryExpansion
    from personsearch.results import Detections, IndexReport, SearchResult
    from personsearch.searcher import PersonSearcher
    from personsearch.searching import SearchOptions

__version__ = "0.1.0"
__all__ = [
    "CBGM",
    "GFN",
    "Calibration",
    "Detection",
    "Detections",
    "Gallery",
    "Hit",
    "IndexReport",
    "KReciprocal",
    "Person",
    "PersonModel",
    "PersonSearchError",
    "PersonSearcher",
    "Query",
    "QueryExpansion",
    "QueryWarning",
    "SearchOptions",
    "SearchResult",
    "Shots",
    "Where",
    "__version__",
    "calibrate",
    "evaluate",
    "evaluate_file",
    "keep_freed_memory",
    "save_combined",
    "save_two_step",
]

_HOMES = {
    "CBGM": "personsearch.ranking",
    "GFN": "personsearch.ranking",
    "Calibration": "personsearch.calibration",
    "Detection": "personsearch.hits",
    "Detections": "personsearch.results",
    "Gallery": "personsearch.gallery",
    "Hit": "personsearch.hits",
    "IndexReport": "personsearch.results",
    "KReciprocal": "personsearch.ranking",
    "Person": "personsearch.gallery",
    "PersonModel": "personsearch.models.base",
    "PersonSearcher": "personsearch.searcher",
    "Query": "personsearch.hits",
    "QueryExpansion": "personsearch.ranking",
    "SearchOptions": "personsearch.searching",
    "SearchResult": "personsearch.results",
    "Shots": "personsearch.hits",
    "Where": "personsearch.gallery",
    "calibrate": "personsearch.calibration",
    "evaluate": "personsearch.evaluation",
    "evaluate_file": "personsearch.evaluation",
    "keep_freed_memory": "personsearch.memory",
    "save_combined": "personsearch.models.two_step",
    "save_two_step": "personsearch.models.two_step",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):  # personsearch.memory, say, without an import of its own
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
