"""A small web service as a user writes it: opened, used and measured before the workers are forked (`gunicorn --preload`)."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from personsearch import PersonSearcher, Query

FOLDER, PLACE = os.environ["SCENES"], os.environ["GALLERY"]
searcher = PersonSearcher.from_pretrained(device="cpu", backend=os.environ["BACKEND"])  # type: ignore[arg-type]
gallery = searcher.index(FOLDER, gallery=PLACE, progress=False)
scene = sorted(gallery.images())[0]


def answer() -> dict[str, Any]:
    """What the service finds: every number that a worker could get wrong."""
    people = searcher.detect(scene)
    hits = searcher.search(Query(scene, person=1), gallery, top_k=5)
    return {
        "boxes": people.boxes.round(1).tolist(),
        "hits": [[hit.image, hit.frame, round(hit.similarity, 3)] for hit in hits],
    }


before = answer()


def application(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """The answer of this worker, and the one that the parent process gave before the fork."""
    content = json.dumps({"worker": os.getpid(), "now": answer(), "before": before}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]
