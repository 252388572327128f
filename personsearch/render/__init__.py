"""Show results: scenes with boxes, montages of hits, and pages for the browser."""

from personsearch.render.page import save_html
from personsearch.render.pictures import draw, montage

__all__ = ["draw", "montage", "save_html"]
