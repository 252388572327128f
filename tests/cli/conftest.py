"""A model folder whose architecture is the fake one, photos and a query."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import models
from tests.helpers.fakes import GREEN, RED, scene


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photos, a query, and a model folder whose architecture is the fake one."""
    monkeypatch.setitem(models.ARCHITECTURES, "rectangles", "tests.helpers.fakes")
    (tmp_path / "photos").mkdir()
    Image.fromarray(scene((RED, 10, 10, 60), (GREEN, 100, 20, 20))).save(tmp_path / "photos" / "a.png")
    Image.fromarray(scene()).save(tmp_path / "photos" / "b.png")
    Image.fromarray(np.full((60, 20, 3), RED, np.uint8)).save(tmp_path / "red.png")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"architecture": "rectangles", "min_score": 0.3}')
    return tmp_path
