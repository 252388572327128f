"""Find a model's folder by its name: a path, the local store, the package itself, or the Hub."""

import os
import re
from pathlib import Path

from personsearch.errors import ModelNotFoundError
from personsearch.home import expand_user, home
from personsearch.weights import hub, manifest
from personsearch.weights.folder import WEIGHTS_FILE, check_sha256
from personsearch.weights.local import local_models
from personsearch.weights.manifest import Bundled, Convert, Entry, Hub

ORG = "PERSONSEARCH_HUB_ORG"  # environment variable: the Hub organisation that hosts converted models
DEFAULT = "nano"  # the model inside the package


def find_model(name_or_folder: str | os.PathLike[str]) -> Path:
    """The folder of a model, downloaded from the Hub if needed.

    Search order: a Hub address ("hf:org/name@revision"); a folder (`~` is expanded); the local store; the source in the
    manifest. For a model without hosted weights that is the repository org/name, if `PERSONSEARCH_HUB_ORG` is set to org.

    A model that the manifest has on the Hub is checked against the manifest's commit and sha256. For an address or
    `PERSONSEARCH_HUB_ORG` no sha256 is known: the first download records commit and sha256, and later ones must match
    (see `hub.fetch_first_use`). Put a commit into the address if you know which one to trust.

    Raises:
        ModelNotFoundError: The model is unknown, or must be converted first; the message says how to get it.
        ConfigError: The Hub address is malformed.
        HubError: The Hub cannot be reached or refuses.
        WeightsError: A file does not have the recorded sha256.
    """
    name = expand_user(name_or_folder)
    if name.startswith("hf:"):
        return hub.fetch_first_use(*hub.parse_address(name), hub_cache())
    if os.path.isdir(name):  # unlike Path.is_dir, False for a name that is too long
        return Path(name)
    if name in local_models():
        return local_models()[name]
    entry = manifest.models().get(name)
    if entry is None:
        raise ModelNotFoundError(_unknown(name))
    if isinstance(entry.source, Bundled):
        folder = bundled_folder(entry.source)
        for file, digest in {WEIGHTS_FILE: entry.source.sha256, **entry.source.others}.items():
            check_sha256(folder / file, digest)
        return folder
    if isinstance(entry.source, Hub):
        return hub.fetch(entry.source.repo, entry.source.revision, hub_cache(), entry.source.digests)
    return _of_organisation(name, entry.source)


def find_here(name: str, entry: Entry) -> Path | None:
    """The folder of a model of the manifest if it is on this machine; does not use the network."""
    stored = local_models().get(name)
    if stored is not None:
        return stored
    if isinstance(entry.source, Bundled):
        return bundled_folder(entry.source)
    if isinstance(entry.source, Hub):
        return hub.cached(entry.source.repo, entry.source.revision, hub_cache(), entry.source.digests)
    organisation = os.environ.get(ORG)
    return hub.cached_first_use(f"{organisation}/{name}", "main", hub_cache()) if organisation else None


def hub_cache() -> Path:
    """Folder of the models downloaded from the Hub."""
    return home() / "hub"


def bundled_folder(source: Bundled) -> Path:
    """Folder of a model inside the package."""
    return manifest.PACKAGE / "data" / source.folder


def _of_organisation(name: str, source: Convert) -> Path:
    organisation = os.environ.get(ORG)
    lines = f"download {source.file} from {source.repository}\n{source.command}"
    if not organisation:
        raise ModelNotFoundError(f"model {name!r} is not on this machine, and its authors' file must be converted once:\n{lines}")
    try:
        return hub.fetch_first_use(f"{organisation}/{name}", "main", hub_cache())
    except ModelNotFoundError as error:
        raise ModelNotFoundError(f"{error} ({ORG} is {organisation!r}); or get {name!r} from its authors:\n{lines}") from error


def _unknown(name: str) -> str:
    stored = ", ".join(local_models()) or "none yet"
    address = f"hf:{name}" if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and len(name) < 100 else "hf:org/name"
    lines = (
        f"unknown model {name!r:.120}. It is not a folder, a converted model in {home() / 'models'} ({stored}), or one of: "
        f"{', '.join(manifest.models())}.",
        f"For the Hugging Face Hub write {address!r}.",
        "For a list of models run: personsearch models",
        "For a model folder of your own see docs/models.md.",
    )
    return "\n* ".join(lines)
