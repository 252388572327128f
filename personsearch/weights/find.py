"""From a name to a model's folder: a folder, the local store, the package itself, or the Hub."""

import os
from pathlib import Path

from personsearch.errors import ModelNotFoundError
from personsearch.home import home
from personsearch.weights import hub, manifest
from personsearch.weights.folder import WEIGHTS_FILE, check_sha256
from personsearch.weights.local import local_models
from personsearch.weights.manifest import Bundled, Convert, Entry, Hub

ORG = "PERSONSEARCH_HUB_ORG"
DEFAULT = "nano"  # the model that the package carries


def find_model(name_or_folder: str | os.PathLike[str]) -> Path:
    """The folder of a model, which is fetched from the Hub if it is named there and not on this machine.

    Looked for in this order: a Hub address ("hf:org/name@revision"); a folder; the local store; for a name of
    the manifest its own source; for one without hosted weights the repository org/name, if `PERSONSEARCH_HUB_ORG` names org.

    What is checked of a fetched model: with a manifest entry on the Hub, the commit and sha256 that it states. With an
    address or `PERSONSEARCH_HUB_ORG`, nobody states a digest: the first fetch records commit and sha256, later ones are
    held to them (see `hub.fetch_first_use`); so give a commit in the address if you know the one to trust.

    Raises:
        ModelNotFoundError: nothing of this name; says how to get it, or which names there are.
        ConfigError: a malformed address.
        HubError, WeightsError: the Hub cannot give the model, or gives another file than recorded.
    """
    name = os.fspath(name_or_folder)
    if name.startswith("hf:"):
        return hub.fetch_first_use(*hub.parse_address(name), hub_cache())
    if Path(name).is_dir():
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
    """The folder of a model of the manifest if it is on this machine; the network is not asked."""
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
    """Where models fetched from the Hub are kept."""
    return home() / "hub"


def bundled_folder(source: Bundled) -> Path:
    """Where the package keeps the weights that it carries."""
    return manifest.PACKAGE / "data" / source.folder


def _of_organisation(name: str, source: Convert) -> Path:
    organisation = os.environ.get(ORG)
    lines = f"download {source.file} from {source.repository}\n{source.command}"
    if not organisation:
        raise ModelNotFoundError(f"no model {name!r} on this machine, and its authors' file must be converted once; to get it:\n{lines}")
    try:
        return hub.fetch_first_use(f"{organisation}/{name}", "main", hub_cache())
    except ModelNotFoundError as error:
        raise ModelNotFoundError(f"{error} ({ORG} is {organisation!r}); or get {name!r} from its authors:\n{lines}") from error


def _unknown(name: str) -> str:
    here = ", ".join(local_models()) or "none yet"
    return (
        f"no model {name!r}: it is no folder, not in {home() / 'models'} (there: {here}), and no name of the manifest "
        f"({', '.join(manifest.models())}); see `personsearch models`, or make a folder as README shows"
    )
