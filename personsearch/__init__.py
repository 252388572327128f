"""personsearch: find a person in whole scene photos. Detect everyone, embed everyone, rank.

Importing does no work and loads no heavy library; names come in when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from personsearch.errors import PersonSearchError

if TYPE_CHECKING:
    from personsearch.gallery import Gallery
    from personsearch.hits import Hit, Query
    from personsearch.results import Detections, SearchResult
    from personsearch.searcher import PersonSearcher

__version__ = "0.1.0"
__all__ = ["Detections", "Gallery", "Hit", "PersonSearchError", "PersonSearcher", "Query", "SearchResult", "__version__"]

_HOMES = {
    "Detections": "personsearch.results",
    "Gallery": "personsearch.gallery",
    "Hit": "personsearch.hits",
    "PersonSearcher": "personsearch.searcher",
    "Query": "personsearch.hits",
    "SearchResult": "personsearch.results",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
