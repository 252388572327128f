"""The folder of everything kept between runs, and writes that happen completely or not at all."""

from pathlib import Path

import pytest

from personsearch.home import expand_user, home, replace_file, replaced_folder


def test_home_is_in_the_users_cache_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("PERSONSEARCH_HOME", raising=False)
        else:
            monkeypatch.setenv("PERSONSEARCH_HOME", value)
        assert home() == tmp_path / ".cache" / "personsearch"


@pytest.mark.parametrize(("value", "expected"), [("~/kept", "{home}/kept"), ("~", "{home}"), ("/a/~/b", "/a/~/b"), ("kept", "kept")])
def test_a_tilde_in_home_is_expanded(value: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder named ~ was made in the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PERSONSEARCH_HOME", value)
    assert home() == Path(expected.format(home=tmp_path))


def test_text_and_paths_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_user("~/photos") == expand_user(Path("~/photos")) == str(tmp_path / "photos")
    assert expand_user("~no-such-user/photos") == "~no-such-user/photos"
    assert expand_user("") == ""


def test_a_replaced_file_has_the_new_text_and_nothing_else_remains(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pin.json"
    for text in ("old", "näw"):
        replace_file(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "pin.json"
    replace_file(path, "old")
    with pytest.raises(UnicodeEncodeError):
        replace_file(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_replaced_folder_has_only_the_new_files(tmp_path: Path) -> None:
    path, workshop = tmp_path / "models" / "mine", tmp_path / "unfinished"
    for name in ("old", "new"):
        with replaced_folder(path, workshop) as folder:
            assert list(folder.iterdir()) == []
            (folder / name).write_text(name)
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(workshop.iterdir()) == []


def test_a_failed_replacement_keeps_the_old_folder(tmp_path: Path) -> None:
    path, workshop = tmp_path / "mine", tmp_path / "unfinished"
    path.mkdir()
    (path / "old").write_text("old")

    def fail() -> None:
        with replaced_folder(path, workshop) as folder:
            (folder / "new").write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert [entry.name for entry in path.iterdir()] == ["old"]
    assert list(workshop.iterdir()) == []
