"""The local store: which folders are models, and how a new one appears."""

from personsearch.home import home
from personsearch.weights.local import local_models, new_model


def test_an_empty_store_has_no_models() -> None:
    assert local_models() == {}
    assert not (home() / "models").exists()


def test_models_are_listed_by_name_and_other_folders_are_not() -> None:
    for name in ("b", "a"):
        with new_model(name) as folder:
            (folder / "config.json").write_text("{}")
    (home() / "models" / "no config").mkdir()
    (home() / "models" / "file").write_text("")
    assert list(local_models().items()) == [(name, home() / "models" / name) for name in ("a", "b")]


def test_a_model_appears_only_when_it_is_complete() -> None:
    with new_model("mine") as folder:
        (folder / "config.json").write_text("{}")
        assert local_models() == {}
    assert local_models() == {"mine": home() / "models" / "mine"}
    assert list((home() / "unfinished").iterdir()) == []
