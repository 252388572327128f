"""Download models from the Hugging Face Hub and upload them: config.json and the files it names, with checked sha256.

The client is huggingface_hub, with its cache, its resumed downloads, and `HF_HUB_OFFLINE`, `HF_TOKEN`, `HF_ENDPOINT`.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache as remembered
from importlib import import_module
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
ADDRESS = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)
LONGEST = 100  # characters of a revision; it is a part of a file name
LONGEST_NAME = 96  # characters of an owner or a repository, by the Hub's rules

log = logging.getLogger(__name__)


class Pin(Settings):
    """Commit and digests of a revision, recorded at its first download."""

    repo: str
    revision: str  # branch, tag or commit, as the user wrote it
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    digests: dict[str, str]  # file -> sha256


def parse_address(text: str) -> tuple[str, str]:
    """Repository and revision of "hf:org/name@revision"; the default revision is "main".

    Raises:
        ConfigError: The text does not have this form.
    """
    match = ADDRESS.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r:.120} is not a Hub address; write hf:org/name@revision")
    return match["repo"], match["revision"] or "main"


def fetch(repo: str, commit: str, cache: Path, digests: Mapping[str, str]) -> Path:
    """The folder of a model with known commit and digests, downloaded if needed.

    Args:
        repo: Repository "org/name".
        commit: Commit, 40 hex digits.
        cache: Cache folder of the Hub's client; made if needed.
        digests: sha256 of every file, by name.

    Raises:
        WeightsError: A file has another digest and was deleted, or the repository lacks it.
        ModelNotFoundError: The repository or revision does not exist.
        HubError: The Hub refuses, cannot be reached, or is offline and the model was not downloaded before.
    """
    folder = [_download(repo, commit, cache, file) for file in digests][-1]
    _check(folder, digests, f"{repo} at {commit[:12]}")
    return folder


def fetch_first_use(repo: str, revision: str, cache: Path) -> Path:
    """The folder of a model without known digests: they are recorded at the first download and checked afterwards.

    The first download of `revision` records its commit and the sha256 of its files (see `model_files`) in `cache`/pins. Later
    calls use this commit even if the branch has moved, and check the digests. Delete the record to update the model.

    Raises:
        ConfigError: The record is damaged, or the model's config.json names files that a model cannot have.
        WeightsError, ModelNotFoundError, HubError: See `fetch`.
    """
    pin_path = _pin_path(repo, revision, cache)
    pin = _read_pin(pin_path)
    if pin is not None:
        return fetch(repo, pin.commit, cache, pin.digests)
    # The branch may move between two files, so the first one's commit decides
    folder = _download(repo, revision, cache, CONFIG_FILE)

    def find_file(file: str, *, needed: bool) -> Path | None:
        try:
            return _download(repo, folder.name, cache, file) / file
        except WeightsError:
            if needed:
                raise
            return None

    pin = Pin(repo=repo, revision=revision, commit=folder.name, digests={file: sha256(folder / file) for file in model_files(find_file)})
    replace_file(pin_path, pin.model_dump_json(indent=2) + "\n")
    log.info("recorded %s@%s as commit %s in %s", repo, revision, pin.commit, pin_path)
    return folder


def cached(repo: str, commit: str, cache: Path, files: Iterable[str]) -> Path | None:
    """The folder of a model downloaded before, if all its files exist; does not use the network."""
    from huggingface_hub import try_to_load_from_cache

    paths = {file: try_to_load_from_cache(repo, file, cache_dir=cache, revision=commit) for file in files}
    config = paths[CONFIG_FILE]
    return Path(config).parent if isinstance(config, str) and all(isinstance(path, str) for path in paths.values()) else None


def cached_first_use(repo: str, revision: str, cache: Path) -> Path | None:
    """The folder that `fetch_first_use` returned before; does not use the network."""
    pin = _read_pin(_pin_path(repo, revision, cache))
    return None if pin is None else cached(repo, pin.commit, cache, pin.digests)


def push(folder: Path, repo: str, *, private: bool) -> str:
    """Upload a model folder (config, weights, card) as one commit, and return the commit.

    Args:
        folder: Folder with README.md and the model's files (see `model_files`); other files are not uploaded.
        repo: Repository "org/name"; made if needed.
        private: Whether a repository that is made now is private.

    Raises:
        ConfigError, WeightsError: The folder is not a complete model.
        HubError: The Hub refuses or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    files = [CommitOperationAdd(name, folder / name) for name in (*model_files(in_folder(folder)), CARD)]
    with _hub_errors(repo, "main"):
        api = HfApi(endpoint=_endpoint())
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.create_commit(repo, files, commit_message="Upload a personsearch model")
    return str(commit.oid)


def _download(repo: str, revision: str, cache: Path, file: str) -> Path:
    """Download one file of a revision; returns the commit's folder, which contains it as `file`."""
    from huggingface_hub import hf_hub_download

    with _hub_errors(repo, revision, file):
        path = Path(hf_hub_download(repo, file, revision=revision, cache_dir=cache, endpoint=_endpoint()))
    folder = path.parents[file.count("/")]
    if not COMMIT.fullmatch(folder.name):
        raise HubError(f"the Hub gave {folder.name!r} as the commit of {repo}; it must be 40 hex digits; check HF_ENDPOINT")
    return folder


def _check(folder: Path, digests: Mapping[str, str], model: str) -> None:
    for file, expected in digests.items():
        path = folder / file
        got = sha256(path)
        if got != expected:
            blob = path.resolve()  # the cache stores contents apart from names
            path.unlink(missing_ok=True)
            blob.unlink(missing_ok=True)
            raise WeightsError(
                f"{model}: sha256 of {file} is {got[:12]}, not {expected[:12]} as recorded; the file was deleted. "
                "Load the model again; if the error remains, the repository has changed: do not use it"
            )


def _pin_path(repo: str, revision: str, cache: Path) -> Path:
    """File with the record of a revision.

    Raises:
        ConfigError: The Hub does not allow such a name. A revision with ".." would be a file outside the cache.
    """
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    if max(map(len, repo.split("/"))) > LONGEST_NAME:  # older clients do not count the owner's characters
        raise ConfigError(f"{repo!r:.120} is not the name of a Hub repository (over {LONGEST_NAME} characters); write hf:org/name")
    with _hub_errors(repo, revision):
        validate_repo_id(repo)
    if len(revision) > LONGEST or {"", ".", ".."} & set(revision.split("/")):
        raise ConfigError(f"{revision!r:.120} is not a revision of {repo}; write a branch, a tag or a commit: hf:{repo}@main")
    return cache / "pins" / f"{quote(f'{repo}@{revision}', safe='@')}.json"


def _read_pin(path: Path) -> Pin | None:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    return parse(Pin, text, f"{path} is damaged (delete it, and the next download records it again)")


def _endpoint() -> str | None:
    """The client reads HF_ENDPOINT only when it is imported."""
    return os.environ.get("HF_ENDPOINT")


@contextmanager
def _hub_errors(repo: str, revision: str, file: str | None = None) -> Iterator[None]:
    """Turn the client's errors into ours."""
    from huggingface_hub import errors as hf

    try:
        yield
    except hf.HFValidationError as error:
        raise ConfigError(f"{repo!r:.120} is not the name of a Hub repository ({_first_line(error)}); write hf:org/name") from error
    except hf.GatedRepoError as error:
        raise HubError(
            f"{repo} on the Hub is gated: ask for access on its page, then log in with `hf auth login` or set HF_TOKEN"
        ) from error
    except hf.RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"no repository {repo} on the Hub, or it is private: check the name, or log in with `hf auth login` or HF_TOKEN"
        ) from error
    except hf.RevisionNotFoundError as error:
        raise ModelNotFoundError(f"{repo} on the Hub has no revision {revision}; see its commits page for valid ones") from error
    except hf.RemoteEntryNotFoundError as error:
        raise WeightsError(
            f"{repo} on the Hub has no {file} at {revision}; only {CONFIG_FILE} and the safetensors or ONNX files that it names "
            "are downloaded, never a pickle; its owner can upload them with PersonSearcher.push_to_hub"
        ) from error
    except hf.LocalEntryNotFoundError as error:
        if isinstance(error.__cause__, hf.OfflineModeIsEnabled):
            raise HubError(f"{repo} is not on this machine, and HF_HUB_OFFLINE is set; unset it once to download the model") from error
        raise HubError(
            f"{repo} cannot be downloaded from the Hub, and is not on this machine: {_first_line(error.__cause__ or error)}"
        ) from error
    except hf.OfflineModeIsEnabled as error:
        raise HubError(f"HF_HUB_OFFLINE is set, so nothing is uploaded to {repo}; unset it") from error
    except _client_errors() as error:
        raise HubError(f"{repo} on the Hub: {_first_line(error)}; try again") from error
    except RuntimeError as error:  # clients 1.4 to 1.26 try again with the session that they closed when the connection failed
        failed = "uploaded to the Hub" if file is None else "downloaded from the Hub, and is not on this machine"
        raise HubError(f"{repo} cannot be {failed}: the connection was refused or broke off; try again") from error


@remembered
def _client_errors() -> tuple[type[Exception], ...]:
    """Every error that the Hub's client and its transport define, and OSError; most have only Exception as a common base."""
    from huggingface_hub import errors as hf

    transport = import_module(hf.HTTPError.__module__.partition(".")[0])  # type: ignore[attr-defined]
    defined = [value for module in (hf, transport) for value in vars(module).values()]
    return (OSError, *(value for value in defined if isinstance(value, type) and issubclass(value, Exception)))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
