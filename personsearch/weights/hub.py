"""Models on the Hugging Face Hub: `config.json` of one commit and the files it stands for, checked; nothing else is fetched.

The client is huggingface_hub's: its cache, its resume of a cut download, `HF_HUB_OFFLINE`, `HF_TOKEN`, `HF_ENDPOINT`.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import StringConstraints

from personsearch.errors import ConfigError, HubError, ModelNotFoundError, WeightsError
from personsearch.home import replace_file
from personsearch.options import Settings, parse
from personsearch.weights.contents import in_folder, model_files
from personsearch.weights.folder import CONFIG_FILE, sha256

CARD = "README.md"
COMMIT = re.compile(r"[0-9a-f]{40}")
ADDRESS = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")

log = logging.getLogger(__name__)


class Pin(Settings):
    """What a revision without a known digest stood for when it was first fetched."""

    repo: str
    revision: str  # as asked for: a branch, a tag or a commit
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    digests: dict[str, str]  # file -> sha256


def parse_address(text: str) -> tuple[str, str]:
    """Repository and revision of "hf:org/name@revision"; without a revision "main".

    Raises:
        ConfigError: not of this form.
    """
    match = ADDRESS.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is no Hub address; write hf:org/name@revision")
    return match["repo"], match["revision"] or "main"


def fetch(repo: str, commit: str, cache: Path, digests: Mapping[str, str]) -> Path:
    """The folder of a model whose commit and digests are known, downloaded if need be.

    Args:
        repo: "org/name".
        commit: 40 hex digits.
        cache: of the Hub's client; made if need be.
        digests: file -> sha256, of all files.

    Raises:
        WeightsError: a file has another digest, and was removed; or the repository lacks it.
        ModelNotFoundError: no such repository or revision.
        HubError: refused, unreachable, or offline and not fetched before.
    """
    folder = [_download(repo, commit, cache, file) for file in digests][-1]
    _check(folder, digests, f"{repo} at {commit[:12]}")
    return folder


def fetch_first_use(repo: str, revision: str, cache: Path) -> Path:
    """The folder of a model whose digests nobody has told us: the first fetch decides, later ones must give the same.

    The first fetch of `revision` records its commit and the sha256 of its files (see `model_files`) in `cache`/pins. From then on
    this commit is used, though the branch has moved, and the digests are checked. Remove the record to move on.

    Raises:
        As `fetch`, and ConfigError: the record is damaged, or the model's config.json names what no model has.
    """
    place = _pin_place(repo, revision, cache)
    pin = _read_pin(place)
    if pin is not None:
        return fetch(repo, pin.commit, cache, pin.digests)
    # The branch may move between two files, so the first one's commit decides
    folder = _download(repo, revision, cache, CONFIG_FILE)

    def fetched(file: str, *, needed: bool) -> Path | None:
        try:
            return _download(repo, folder.name, cache, file) / file
        except WeightsError:
            if needed:
                raise
            return None

    pin = Pin(repo=repo, revision=revision, commit=folder.name, digests={file: sha256(folder / file) for file in model_files(fetched)})
    replace_file(place, pin.model_dump_json(indent=2) + "\n")
    log.info("%s@%s is %s from now on (%s)", repo, revision, pin.commit, place)
    return folder


def cached(repo: str, commit: str, cache: Path, files: Iterable[str]) -> Path | None:
    """The folder of a model fetched before, if all its files are there; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    paths = {file: try_to_load_from_cache(repo, file, cache_dir=cache, revision=commit) for file in files}
    config = paths[CONFIG_FILE]
    return Path(config).parent if isinstance(config, str) and all(isinstance(path, str) for path in paths.values()) else None


def cached_first_use(repo: str, revision: str, cache: Path) -> Path | None:
    """The folder that `fetch_first_use` gave before, without asking the network."""
    pin = _read_pin(_pin_place(repo, revision, cache))
    return None if pin is None else cached(repo, pin.commit, cache, pin.digests)


def push(folder: Path, repo: str, *, private: bool) -> str:
    """Upload a model folder (config, weights, card) as one commit, and return the commit.

    Args:
        folder: with README.md and the files that make a model (see `model_files`); nothing else of it goes up.
        repo: "org/name", made if need be.
        private: visibility of a repository that is made now.

    Raises:
        ConfigError, WeightsError: the folder's files do not make a model.
        HubError: refused or unreachable.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    files = [CommitOperationAdd(name, folder / name) for name in (*model_files(in_folder(folder)), CARD)]
    with _clearly(repo, "main"):
        api = HfApi(endpoint=_endpoint())
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.create_commit(repo, files, commit_message="Upload a personsearch model")
    return str(commit.oid)


def _download(repo: str, revision: str, cache: Path, file: str) -> Path:
    """The folder, named after the commit, that one file of a revision now lies in, at `file`."""
    from huggingface_hub import hf_hub_download

    with _clearly(repo, revision, file):
        path = Path(hf_hub_download(repo, file, revision=revision, cache_dir=cache, endpoint=_endpoint()))
    folder = path.parents[file.count("/")]
    if not COMMIT.fullmatch(folder.name):
        raise HubError(f"the Hub gave {folder.name!r} as the commit of {repo}; it must be 40 hex digits. Is HF_ENDPOINT a Hub?")
    return folder


def _check(folder: Path, digests: Mapping[str, str], what: str) -> None:
    for file, wanted in digests.items():
        path = folder / file
        got = sha256(path)
        if got != wanted:
            blob = path.resolve()  # the cache keeps contents apart from names
            path.unlink(missing_ok=True)
            blob.unlink(missing_ok=True)
            raise WeightsError(
                f"{what}: sha256 of {file} is {got[:12]}, not {wanted[:12]} as recorded; the file was removed. "
                "Load again; if it stays so, the repository no longer holds what was recorded, so do not use it"
            )


def _pin_place(repo: str, revision: str, cache: Path) -> Path:
    return cache / "pins" / f"{quote(f'{repo}@{revision}', safe='@')}.json"


def _read_pin(place: Path) -> Pin | None:
    try:
        text = place.read_bytes()
    except FileNotFoundError:
        return None
    return parse(Pin, text, f"{place} is damaged (remove it, and the next fetch records it again)")


def _endpoint() -> str | None:
    """The client reads HF_ENDPOINT only when it is imported."""
    return os.environ.get("HF_ENDPOINT")


@contextmanager
def _clearly(repo: str, revision: str, file: str | None = None) -> Iterator[None]:
    """What the client raises, as our errors."""
    from huggingface_hub import errors as hf
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # the base of what its transport raises

    try:
        yield
    except hf.GatedRepoError as error:
        raise HubError(
            f"{repo} on the Hub is gated: ask for access on its page, then log in with `hf auth login` or set HF_TOKEN"
        ) from error
    except hf.RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"no repository {repo} on the Hub, or it is private: check the name, or log in with `hf auth login` or HF_TOKEN"
        ) from error
    except hf.RevisionNotFoundError as error:
        raise ModelNotFoundError(f"{repo} on the Hub has no revision {revision}; look at its commits and give one of them") from error
    except hf.RemoteEntryNotFoundError as error:
        raise WeightsError(
            f"{repo} on the Hub has no {file} at {revision}; only {CONFIG_FILE} and the safetensors or ONNX files that it stands for "
            "are ever fetched, never a pickle. "
            "Its owner can make them with PersonSearcher.push_to_hub"
        ) from error
    except hf.LocalEntryNotFoundError as error:
        if isinstance(error.__cause__, hf.OfflineModeIsEnabled):
            raise HubError(f"{repo} is not on this machine, and HF_HUB_OFFLINE is set; unset it once to fetch the model") from error
        raise HubError(
            f"{repo} cannot be fetched from the Hub, and is not on this machine: {_first_line(error.__cause__ or error)}"
        ) from error
    except hf.OfflineModeIsEnabled as error:
        raise HubError(f"HF_HUB_OFFLINE is set, so nothing goes to {repo}; unset it") from error
    except (OSError, HTTPError) as error:
        raise HubError(f"{repo} on the Hub: {_first_line(error)}; try again") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
