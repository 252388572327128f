"""Pictures and galleries in Azure and in Google Cloud Storage, on servers of this machine that take their place.

Azurite: `npx azurite-blob --inMemoryPersistence --skipApiVersionCheck`, whose address PERSONSEARCH_AZURITE names (http://127.0.0.1:10000).
Google's storage-testbench: `storage-testbench --port 9000`, whose address PERSONSEARCH_GCS names (http://127.0.0.1:9000). It lacks the
listing of the XML interface, which Lance uses, so that only pictures are tested there.
"""

import io
import json
import os
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery, PersonSearcher, Query
from personsearch.sources import open_source
from personsearch.sources.stores import _system
from tests.gallery.test_concurrency import write_at_once
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene

pytestmark = pytest.mark.extra

# Azurite's public account
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
Store = tuple[str, dict[str, str]]  # address of a new folder, and the options


def azure() -> Store:
    address = os.environ["PERSONSEARCH_AZURITE"]
    options = {
        "azure_storage_account_name": ACCOUNT,
        "azure_storage_account_key": ACCOUNT_KEY,
        "azure_storage_endpoint": f"{address}/{ACCOUNT}",
        "allow_http": "true",
    }
    name = f"c{uuid.uuid4().hex[:12]}"
    system(f"az://{name}", options).create_dir(name)
    return f"az://{name}/folder", options


def google() -> Store:
    address = os.environ["PERSONSEARCH_GCS"]
    account = {"gcs_base_url": address, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    options = {
        "google_service_account_key": json.dumps(account),
        "google_base_url": address,
        "google_skip_signature": "true",
        "allow_http": "true",
    }
    name = f"b{uuid.uuid4().hex[:12]}"
    request = urllib.request.Request(
        f"{address}/storage/v1/b?project=p", json.dumps({"name": name}).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()
    return f"gs://{name}/folder", options


def system(address: str, options: dict[str, str]) -> Any:
    return _system(address[:2], tuple(sorted(options.items())))


def put(address: str, options: dict[str, str], pixels: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    with system(address, options).open_output_stream(address.partition("://")[2]) as stream:
        stream.write(file.getvalue())


def put_pictures(folder: str, options: dict[str, str]) -> list[str]:
    """Store two pictures; returns their addresses."""
    put(f"{folder}/photos/a b.png", options, scene((RED, 10, 10, 60), (GREEN, 60, 10, 80)))
    put(f"{folder}/photos/below/b.png", options, scene((BLUE, 10, 10, 70)))
    return [f"{folder}/photos/a b.png", f"{folder}/photos/below/b.png"]


def test_pictures_in_google_cloud_storage_are_indexed(tmp_path: Path) -> None:
    folder, options = google()
    names = put_pictures(folder, options)
    assert [item.image for item in open_source(f"{folder}/photos", options).items] == names
    searcher = PersonSearcher(RectangleModel())
    gallery = searcher.index(f"{folder}/photos", gallery=tmp_path / "g", storage_options=options, progress=False)
    again = searcher.index(f"{folder}/photos", gallery=tmp_path / "g", storage_options=options, progress=False)
    assert again.report is not None
    assert (len(gallery), list(again.report.unchanged)) == (3, names)


def test_pictures_and_galleries_in_azure_are_indexed_and_searched() -> None:
    folder, options = azure()
    names = put_pictures(folder, options)
    assert [item.image for item in open_source(f"{folder}/photos", options).items] == names
    searcher = PersonSearcher(RectangleModel())
    place = f"{folder}/people.lance"
    gallery = searcher.index(f"{folder}/photos", gallery=place, storage_options=options, progress=False)
    again = searcher.index(f"{folder}/photos", gallery=place, storage_options=options, progress=False)
    assert again.report is not None
    assert (len(gallery), list(again.report.unchanged)) == (3, names)
    query = Query(scene((BLUE, 20, 20, 80)), person=1)
    assert searcher.search(query, Gallery.open(place, storage_options=options), top_k=1)[0].image == names[1]
    gallery.remove(names[0])
    assert (len(gallery), len(Gallery.open(place, storage_options=options))) == (1, 1)
    gallery.delete()
    assert not Gallery.exists(place, storage_options=options)


def test_writers_on_azure_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, options = azure()
    for name, value in options.items():
        monkeypatch.setenv(name.upper() if name != "allow_http" else "AZURE_ALLOW_HTTP", value)
    write_at_once(f"{folder}/writers.lance", 3, options=options)
