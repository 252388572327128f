"""Use the service of `personsearch ui` from an app, with nothing but Python's own library.

    personsearch ui --no-browser --port 8123          # prints the token
    PERSONSEARCH_TOKEN=... python examples/service_client.py http://127.0.0.1:8123 holiday_photos/ me.jpg

It indexes the folder, sends the picture, and prints the hits. The address /openapi.json describes every route.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen


class Client:
    """A client of the service.

    Args:
        address: Address of the service, such as http://127.0.0.1:8123.
        token: Secret that the service printed.
    """

    def __init__(self, address: str, token: str) -> None:
        self.address, self.token = address.rstrip("/"), token

    def ask(self, path: str, body: bytes | None = None, **parameters: Any) -> Any:
        """The answer of a route; with a body the route is posted to.

        Raises:
            RuntimeError: The service refuses; the message says why.
        """
        query = f"?{urlencode(parameters, doseq=True)}" if parameters else ""
        request = Request(f"{self.address}{path}{query}", body, {"Authorization": f"Bearer {self.token}"})
        try:
            with urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode(errors='replace')}") from error

    def index(self, source: str) -> int:
        """Index a folder or video of the service's machine; returns the gallery's number when it is done.

        Raises:
            RuntimeError: Nothing of the source can be read.
        """
        number = int(self.ask("/galleries", urlencode({"source": os.path.abspath(source)}).encode())["gallery"])
        while (state := self.ask(f"/galleries/{number}/progress"))["state"] in ("waiting", "indexing"):
            time.sleep(0.2)
        if state["state"] != "ready":
            raise RuntimeError(f"{source}: {state['error']}")
        return number

    def search(self, picture: bytes, gallery: int, top_k: int = 10) -> list[dict[str, Any]]:
        """The hits of a picture. If it does not look like a crop of one person, its best detection is searched for."""
        sent = self.ask("/pictures", picture)
        is_scene = sent["doubt"] and sent["people"]
        shot = sent["people"][0]["person"] if is_scene else sent["picture"]
        hits: list[dict[str, Any]] = self.ask("/hits", shot=shot, gallery=gallery, top_k=top_k)["hits"]
        return hits


def main(arguments: list[str]) -> int:
    """Index a source, search for a picture, print the hits."""
    if len(arguments) != 3 or "PERSONSEARCH_TOKEN" not in os.environ:
        print("usage: PERSONSEARCH_TOKEN=... service_client.py ADDRESS SOURCE PICTURE", file=sys.stderr)
        return 2
    address, source, picture = arguments
    client = Client(address, os.environ["PERSONSEARCH_TOKEN"])
    for hit in client.search(Path(picture).read_bytes(), client.index(source)):
        match = {True: "match", False: "below the threshold", None: "not calibrated"}[hit["is_match"]]
        print(f"{hit['rank']:3}  {hit['similarity']:.3f}  {match:19}  {hit['image']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
