"""LUPerson, on files made in its format."""

import io
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from personsearch import images
from personsearch.datasets import luperson
from personsearch.errors import DataError, MissingExtraError

KEYS = ["00_00_0000_00000000", "00_00_0000_00000001", "00_01_0003_00000000", "01_00_0000_00000007"]


def png(level: int) -> bytes:
    Image.fromarray(np.full((24, 12, 3), level, np.uint8)).save(buffer := io.BytesIO(), format="PNG")
    return buffer.getvalue()


def write_lmdb(folder: Path) -> Path:
    """As the authors' convert_lmdb.py writes it: a file of a picture under each key, and a pickle of the keys."""
    folder.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder), map_size=2**20) as database, database.begin(write=True) as transaction:
        for number, key in enumerate(reversed(KEYS)):
            transaction.put(key.encode("ascii"), png(10 * (len(KEYS) - 1 - number)))
    (folder.parent / "keys.pkl").write_bytes(pickle.dumps(KEYS))
    return folder


@pytest.mark.parametrize("inside", ["lmdb", "."])
def test_the_files_of_an_lmdb_by_key(tmp_path, inside) -> None:
    write_lmdb(tmp_path / "data" / inside)
    crops = luperson.load(tmp_path / "data")
    assert [int(images.load(one)[0, 0, 0]) for one in crops] == [0, 10, 20, 30]
    assert crops[2] == crops[1:3][1] == png(20)
    assert crops[-1] == png(30)
    with pytest.raises(IndexError):
        crops[4]


def test_the_pickle_beside_it_is_never_opened(tmp_path) -> None:
    class Code:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    write_lmdb(tmp_path / "data" / "lmdb")
    (tmp_path / "data" / "keys.pkl").write_bytes(pickle.dumps(Code()))
    assert len(luperson.load(tmp_path / "data")) == 4
    assert not (tmp_path / "ran").exists()


def test_another_process_opens_it_for_itself(tmp_path) -> None:
    crops = luperson.load(write_lmdb(tmp_path / "data" / "lmdb").parent)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(list, crops).result() == [png(0), png(10), png(20), png(30)]


def test_it_can_be_loaded_twice_in_one_process(tmp_path) -> None:
    root = write_lmdb(tmp_path / "data" / "lmdb").parent
    assert list(luperson.load(root)) == list(luperson.load(root))


def test_a_part_is_chosen_evenly(tmp_path) -> None:
    root = write_lmdb(tmp_path / "data" / "lmdb").parent
    assert list(luperson.load(root, limit=2)) == [png(0), png(20)]
    assert len(luperson.load(root, limit=9)) == 4
    assert luperson.choose((), 3) == ()
    assert luperson.choose(tuple("abcdefg"), 3) == ("a", "c", "e")  # places 0, 7 / 3, 14 / 3


def test_a_plain_folder_of_pictures(tmp_path) -> None:
    for name in ("b/1.jpg", "a.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert luperson.load(tmp_path) == (tmp_path / "a.png", tmp_path / "b" / "1.jpg")
    assert luperson.load(tmp_path, limit=1) == (tmp_path / "a.png",)


def test_missing_empty_or_damaged(tmp_path) -> None:
    with pytest.raises(DataError, match=r"is not a folder; .*; ask the authors of LUPerson"):
        luperson.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no picture"):
        luperson.load(tmp_path)
    (tmp_path / "empty").mkdir()
    lmdb.open(str(tmp_path / "empty"), map_size=2**20).close()
    with pytest.raises(DataError, match=r"data.mdb holds no crops"):
        luperson.load(tmp_path / "empty")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "data.mdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(DataError, match=r"data.mdb cannot be read"):
        luperson.load(tmp_path / "broken")


def test_without_lmdb_the_extra_is_named(tmp_path, monkeypatch) -> None:
    root = write_lmdb(tmp_path / "data" / "lmdb").parent
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(MissingExtraError, match=r"personsearch\[luperson\]"):
        luperson.load(root)
