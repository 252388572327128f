"""Show results: scenes with boxes, montages, pages for the browser and for notebooks, tables, and crops."""

from personsearch.render.files import COLUMN_TYPES, COLUMNS, coco, csv_text, plain_stem, save_crops, table_rows, write_text
from personsearch.render.notebook import data_uri, facts_html, hits_html, picture_html, searcher_html, table_html
from personsearch.render.page import save_html
from personsearch.render.pictures import draw, montage

__all__ = [
    "COLUMNS",
    "COLUMN_TYPES",
    "coco",
    "csv_text",
    "data_uri",
    "draw",
    "facts_html",
    "hits_html",
    "montage",
    "picture_html",
    "plain_stem",
    "save_crops",
    "save_html",
    "searcher_html",
    "table_html",
    "table_rows",
    "write_text",
]
