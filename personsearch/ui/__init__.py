"""The page in the browser, and the service with the same routes: choose pictures, click a person, see who is the same."""

from personsearch.errors import MissingExtraError

try:
    from personsearch.ui.app import create_app
    from personsearch.ui.server import address_of, bound, open_page, serve
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("personsearch"):
        raise
    raise MissingExtraError(f"{error.name} is not installed; run: pip install 'personsearch[ui]'") from error

__all__ = ["address_of", "bound", "create_app", "open_page", "serve"]
