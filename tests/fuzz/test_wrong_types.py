"""Wrong types that people pass by mistake, found by hand; each is an error of the package that says what to pass."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch import Gallery, PersonSearcher, Query
from personsearch.errors import ConfigError, GalleryError
from personsearch.gallery.location import lance_errors
from personsearch.results import SearchResult
from tests.helpers.gallery_frames import KEY


@pytest.mark.parametrize("model", [None, "nano", Path("nano")])
def test_a_name_is_not_a_model(model: Any) -> None:
    with pytest.raises(ConfigError, match="open one by name with from_pretrained"):
        PersonSearcher(model)


@pytest.mark.parametrize("path", [None, 5, b"hits.html"])
@pytest.mark.parametrize("method", ["save_html", "save_crops"])
def test_hits_are_written_to_a_path_only(path: Any, method: str) -> None:
    result = SearchResult((), Query(np.zeros((40, 40, 3), np.uint8)))
    with pytest.raises(ConfigError, match="must be a path or text"):
        getattr(result, method)(path)


@pytest.mark.parametrize("every", ["x", 0, 1.5, True])
def test_a_gallery_is_not_made_with_a_wrong_step(tmp_path: Path, every: Any) -> None:
    """It was stored, and read as if none had been chosen."""
    with pytest.raises(ConfigError, match="every must be"):
        Gallery.create_or_open(tmp_path / "g", KEY, every=every)
    assert not Gallery.exists(tmp_path / "g")


def test_folders_of_the_machine_that_built_lance_are_left_out() -> None:
    text = "LanceError(IO): no region, /home/runner/work/lance/rust/lance-io/src/object_store.rs:123:45"
    with pytest.raises(GalleryError, match=r"no region; if it is damaged") as error, lance_errors("s3://bucket/g"):
        raise OSError(text)
    assert "runner" not in str(error.value)
