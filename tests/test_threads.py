"""One searcher and one gallery in several threads, as docs/deployment.md promises."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from personsearch import PersonSearcher
from personsearch.weights.manifest import PACKAGE

DEMO = PACKAGE / "data" / "demo"


def test_threads_get_what_each_call_gives_alone(tmp_path: Path) -> None:
    searcher = PersonSearcher.from_pretrained(device="cpu")
    pictures = sorted((DEMO / "scenes").iterdir())[:4]
    gallery = searcher.index(pictures, gallery=tmp_path / "gallery", progress=False)
    alone = [searcher.detect(picture) for picture in pictures]
    hits = searcher.search(DEMO / "query.jpg", gallery).hits
    with ThreadPoolExecutor(4) as threads:
        searches = [threads.submit(searcher.search, DEMO / "query.jpg", gallery) for _ in range(4)]
        together = list(threads.map(searcher.detect, pictures * 2))
        assert all(search.result().hits == hits for search in searches)
    for expected, detections in zip(alone * 2, together, strict=True):
        assert np.array_equal(expected.boxes, detections.boxes)
        assert np.array_equal(expected.embeddings, detections.embeddings)
