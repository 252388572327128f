"""The routes of the page and service, a file for each part of the address."""

from personsearch.ui.routes import export, galleries, hits, home, scenes, sent

ROUTERS = (home.router, galleries.router, scenes.router, sent.router, hits.router, export.router)

__all__ = ["ROUTERS"]
