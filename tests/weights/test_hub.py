"""The real client of the Hub against a server on the loopback."""

import hashlib
import json
import os
import pickle
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from personsearch.errors import ConfigError, HubError, ModelNotFoundError, PersonSearchError, WeightsError
from personsearch.weights import hub as client
from personsearch.weights import read_config, read_tensors, sha256
from tests.helpers.hub_server import Hub, serving

REPO = "people/finder"
CONFIG = b'{"architecture": "seqnet", "min_score": 0.5}'
WEIGHTS = save({"a": np.arange(4, dtype=np.float32)})
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS}
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
FETCH = "import sys; from personsearch.weights.find import find_model; print(find_model(sys.argv[1]))"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client retries at once instead of after seconds."""
    monkeypatch.setattr("time.sleep", lambda _: None)


class Evil:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.witness,)


def blobs(cache: Path) -> list[Path]:
    return list(cache.glob("models--*/blobs/*"))


def fetching(address: str, home: Path, **environment: str) -> subprocess.Popen[str]:
    """Another process that fetches a model into `home`."""
    values = {**os.environ, "PERSONSEARCH_HOME": str(home), **environment}
    return subprocess.Popen([sys.executable, "-c", FETCH, address], env=values, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_two_files_are_fetched_and_cached(hub: Hub, tmp_path: Path) -> None:
    commit = hub.commit(REPO, {**FILES, "pytorch_model.bin": b"pickle", "README.md": b"card"})
    folder = client.fetch(REPO, commit, tmp_path, DIGESTS)
    assert read_config(folder)["architecture"] == "seqnet"
    assert read_tensors(folder / "model.safetensors")["a"].tolist() == [0, 1, 2, 3]
    assert {re.split("/resolve/[^/]+/", path)[-1] for method, path, _ in hub.asked if method == "HEAD"} == set(FILES)
    assert len(hub.downloads()) == 2
    hub.asked.clear()
    assert client.fetch(REPO, commit, tmp_path, DIGESTS) == folder
    assert client.cached(REPO, commit, tmp_path, DIGESTS) == folder
    assert hub.asked == []


@pytest.mark.slow
def test_an_interrupted_download_is_resumed(hub: Hub, tmp_path: Path) -> None:
    """The client writes in pieces of 10 MiB; an incomplete piece is requested again."""
    weights = save({"a": np.random.default_rng(0).random(3_000_000, np.float32)})
    commit = hub.commit(REPO, {**FILES, "model.safetensors": weights})
    hub.cut_at = 11_000_000
    folder = client.fetch(REPO, commit, tmp_path, {"model.safetensors": hashlib.sha256(weights).hexdigest()})
    assert (folder / "model.safetensors").read_bytes() == weights
    assert [part for path, part in hub.downloads() if path.startswith("/storage/")] == [None, "bytes=10485760-"]


def test_a_file_with_a_wrong_digest_is_deleted(hub: Hub, tmp_path: Path) -> None:
    commit = hub.commit(REPO, FILES)
    wrong = {**DIGESTS, "model.safetensors": "0" * 64}
    with pytest.raises(WeightsError, match=rf"sha256 of model\.safetensors is {DIGESTS['model.safetensors'][:12]}, not 000000000000"):
        client.fetch(REPO, commit, tmp_path, wrong)
    assert client.cached(REPO, commit, tmp_path, DIGESTS) is None
    assert [path.read_bytes() for path in blobs(tmp_path)] == [CONFIG]
    assert sha256(client.fetch(REPO, commit, tmp_path, DIGESTS) / "model.safetensors") == DIGESTS["model.safetensors"]


def test_a_config_changed_on_the_disk_is_refused(hub: Hub, tmp_path: Path) -> None:
    folder = client.fetch(REPO, hub.commit(REPO, FILES), tmp_path, DIGESTS)
    (folder / "config.json").resolve().write_text('{"architecture": "nae"}')
    with pytest.raises(WeightsError, match=r"sha256 of config\.json"):
        client.fetch(REPO, folder.name, tmp_path, DIGESTS)


def test_unknown_repositories_and_revisions_are_errors(hub: Hub, tmp_path: Path) -> None:
    hub.commit(REPO, FILES)
    for revision in ("v9", "0" * 40):
        with pytest.raises(ModelNotFoundError, match=f"people/finder on the Hub has no revision {revision}"):
            client.fetch_first_use(REPO, revision, tmp_path)
    with pytest.raises(ModelNotFoundError, match="no repository people/nothing on the Hub, or it is private"):
        client.fetch_first_use("people/nothing", "main", tmp_path)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "GatedRepo", "is gated: ask"),
        (403, "GatedRepo", "is gated: ask"),
        (403, None, "cannot be downloaded.*403"),
        (500, None, "500"),
    ],
)
def test_refusals(hub: Hub, impatient: None, tmp_path: Path, status: int, code: str | None, message: str) -> None:
    hub.commit(REPO, FILES)
    hub.refusals[REPO] = (status, code)
    with pytest.raises(HubError, match=message):
        client.fetch_first_use(REPO, "main", tmp_path)
    assert not list(tmp_path.glob("pins/*"))


def test_a_pickle_is_neither_fetched_nor_opened(hub: Hub, tmp_path: Path) -> None:
    evil = pickle.dumps(Evil(tmp_path / "witness"))
    hub.commit(REPO, {"config.json": CONFIG, "pytorch_model.bin": evil, "model.pt": evil})
    with pytest.raises(WeightsError, match=r"has no model\.safetensors .*never a pickle"):
        client.fetch_first_use(REPO, "main", tmp_path)
    assert [path.rpartition("/")[2] for path, _ in hub.downloads()] == ["config.json"]
    hub.commit(REPO, {"config.json": CONFIG, "model.safetensors": evil})
    folder = client.fetch_first_use(REPO, "main", tmp_path)
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        read_tensors(folder / "model.safetensors")
    assert not (tmp_path / "witness").exists()


def test_a_branch_that_moves_does_not_move_the_model(hub: Hub, tmp_path: Path) -> None:
    hub.commit(REPO, FILES)
    first = client.fetch_first_use(REPO, "main", tmp_path)
    moved = hub.commit(REPO, {**FILES, "model.safetensors": save({"a": np.zeros(1, np.float32)})})
    hub.asked.clear()
    assert client.fetch_first_use(REPO, "main", tmp_path) == client.cached_first_use(REPO, "main", tmp_path) == first
    assert hub.asked == []
    (pin,) = (tmp_path / "pins").iterdir()
    assert json.loads(pin.read_text())["digests"] == DIGESTS
    pin.unlink()
    assert client.cached_first_use(REPO, "main", tmp_path) is None
    assert client.fetch_first_use(REPO, "main", tmp_path).name == moved


def test_all_files_are_of_one_commit_if_the_branch_moves(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    first, plain = hub.commit(REPO, FILES), huggingface_hub.hf_hub_download

    def and_then_someone_pushes(*arguments: object, **options: object) -> str:
        path = plain(*arguments, **options)
        hub.commit(REPO, {"config.json": b"{}", "model.safetensors": b"other"})
        return path

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", and_then_someone_pushes)
    folder = client.fetch_first_use(REPO, "main", tmp_path)
    assert folder.name == first
    assert {file: sha256(folder / file) for file in FILES} == DIGESTS


def test_content_that_differs_from_the_first_use_is_refused(hub: Hub, tmp_path: Path) -> None:
    folder = client.fetch_first_use(REPO, hub.commit(REPO, FILES), tmp_path)
    for path in [*folder.iterdir(), *blobs(tmp_path)]:
        path.unlink()
    hub.commits[REPO, folder.name] = {**FILES, "model.safetensors": save({"a": np.zeros(4, np.float32)})}
    with pytest.raises(WeightsError, match="do not use it"):
        client.fetch_first_use(REPO, folder.name, tmp_path)


def test_a_damaged_record_is_not_replaced(hub: Hub, tmp_path: Path) -> None:
    hub.commit(REPO, FILES)
    client.fetch_first_use(REPO, "main", tmp_path)
    (pin,) = (tmp_path / "pins").iterdir()
    pin.write_text("{")
    with pytest.raises(ConfigError, match=r"is damaged \(delete it"):
        client.fetch_first_use(REPO, "main", tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("hf:a/b", ("a/b", "main")), ("hf:a/b-c.d@v1.0", ("a/b-c.d", "v1.0")), ("hf:a/b@refs/pr/1", ("a/b", "refs/pr/1"))],
)
def test_addresses(text: str, expected: tuple[str, str]) -> None:
    assert client.parse_address(text) == expected


@pytest.mark.parametrize("text", ["hf:", "hf:a", "hf:a/b/c", "hf:a/b@", "hf:a b/c", "hf:../b@../c d"])
def test_malformed_addresses(text: str) -> None:
    with pytest.raises(ConfigError, match="hf:org/name@revision"):
        client.parse_address(text)


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(HubError, match=r"people/finder cannot be downloaded from the Hub, and is not on this machine: .*refused"):
            client.fetch_first_use(REPO, "main", tmp_path)


def test_a_client_that_closes_its_session_was_a_runtime_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub 1.4 to 1.26 asks a closed session a second time after a connection that failed."""

    def closed(*_: object, **__: object) -> str:
        raise RuntimeError("Cannot send a request, as the client has been closed.")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", closed)
    with pytest.raises(HubError, match="is not on this machine: the connection was refused or broke off"):
        client.fetch_first_use(REPO, "main", tmp_path)


def test_cached_models_need_no_network(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(REPO, FILES)
    folder = client.fetch_first_use(REPO, "main", tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert client.fetch_first_use(REPO, "main", tmp_path) == folder


@pytest.mark.slow
def test_offline(hub: Hub, tmp_path: Path) -> None:
    hub.commit(REPO, FILES)
    refused = fetching(f"hf:{REPO}", tmp_path, HF_HUB_OFFLINE="1")
    assert "HubError: people/finder is not on this machine, and HF_HUB_OFFLINE is set" in refused.communicate()[1]
    assert hub.asked == []
    online, offline = (fetching(f"hf:{REPO}", tmp_path, **more).communicate()[0] for more in ({}, {"HF_HUB_OFFLINE": "1"}))
    assert offline == online
    assert Path(online.strip()).is_dir()


@pytest.mark.slow
def test_concurrent_downloads_leave_one_complete_model(hub: Hub, tmp_path: Path) -> None:
    hub.commit(REPO, FILES)
    hub.seconds = 1.0
    processes = [fetching(f"hf:{REPO}", tmp_path) for _ in range(3)]
    folders = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    (folder,) = folders
    assert {file: sha256(Path(folder) / file) for file in FILES} == DIGESTS
    assert len(blobs(tmp_path / "hub")) == 2
    assert len(list((tmp_path / "hub" / "pins").iterdir())) == 1
    assert client.fetch_first_use(REPO, "main", tmp_path / "hub") == Path(folder)


@pytest.mark.parametrize("address", ["hf:a/b--c", "hf:a/.b", "hf:../a", "hf:a/b.git", "hf:a/b-", f"hf:{'a' * 97}/b", f"hf:a/b@{'c' * 300}"])
def test_names_that_the_hub_forbids_are_config_errors(address: str, tmp_path: Path) -> None:
    """They were an HFValidationError, or an OSError of a file name that is too long."""
    with pytest.raises(ConfigError, match=r"is not (the name of a Hub repository|a revision of)"):
        client.fetch_first_use(*client.parse_address(address), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("repo", [f"{'a' * 97}/b", f"a/{'b' * 97}"])
def test_names_of_an_owner_were_as_long_as_the_client_allows(repo: str, tmp_path: Path) -> None:
    """That of huggingface_hub 1.10 and older counts the repository's characters alone."""
    with pytest.raises(ConfigError, match="over 96 characters"):
        client.fetch_first_use(repo, "main", tmp_path)


@pytest.mark.parametrize("revision", ["../../x", "a//b", "/a", "a/./b"])
def test_a_revision_is_never_a_path_out_of_the_cache(revision: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a revision of people/finder"):
        client.fetch_first_use(*client.parse_address(f"hf:{REPO}@{revision}"), tmp_path)


def client_errors() -> list[type[Exception]]:
    """Every error that the Hub's client defines."""
    from huggingface_hub import errors

    defined = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(defined) > 30
    return defined


@pytest.mark.parametrize("kind", client_errors(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_becomes_ours(kind: type[Exception]) -> None:
    with pytest.raises(PersonSearchError), client._hub_errors(REPO, "main", "config.json"):
        raise kind.__new__(kind)


def test_other_errors_are_not_taken_for_the_clients() -> None:
    with pytest.raises(ZeroDivisionError), client._hub_errors(REPO, "main"):
        raise ZeroDivisionError
