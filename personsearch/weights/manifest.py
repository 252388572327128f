"""The models that have a name: `weights_manifest.json`, read and checked."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from personsearch import options
from personsearch.errors import ConfigError
from personsearch.options import Settings
from personsearch.weights.contents import NETWORKS, check_inside
from personsearch.weights.folder import CONFIG_FILE

PACKAGE = Path(__file__).parent.parent
FILE = "weights_manifest.json"
PLACES = (PACKAGE / "data" / FILE, PACKAGE.parent / FILE)  # of the wheel, of the source tree

Text = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Percent = Annotated[float, Field(ge=0, le=100)]
EXTERNAL = ".onnx.data"  # weights beside an ONNX file


class Bundled(Settings):
    """The weights are in the package."""

    kind: Literal["bundled"]
    folder: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]  # in personsearch/data
    sha256: Sha256  # of its model.safetensors
    others: dict[Text, Sha256] = Field(default_factory=dict)  # of files beside it


class HubFile(Settings):
    """One file of a Hub repository."""

    file: Annotated[str, AfterValidator(check_inside)]  # its name from the repository's top
    sha256: Sha256
    bytes: int = Field(gt=0)

    @model_validator(mode="after")
    def _config_or_network(self) -> "HubFile":
        if not self.file.endswith((CONFIG_FILE, *NETWORKS, EXTERNAL)):
            raise ValueError(f"{self.file} is neither {CONFIG_FILE} nor safetensors or ONNX; nothing else is ever fetched")
        return self


class Hub(Settings):
    """The weights are on the Hugging Face Hub, at one commit."""

    kind: Literal["hub"]
    repo: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    files: tuple[HubFile, ...]

    @model_validator(mode="after")
    def _make_a_model(self) -> "Hub":
        if CONFIG_FILE not in self.digests or len(self.digests) < 2 or len(self.digests) != len(self.files):
            raise ValueError(f"files must be {CONFIG_FILE} and the networks that it stands for, each once")
        return self

    @property
    def digests(self) -> dict[str, str]:
        """File name -> sha256."""
        return {file.file: file.sha256 for file in self.files}


class Convert(Settings):
    """The weights are its authors' checkpoint, which the user downloads and converts."""

    kind: Literal["convert"]
    whose: Text
    repository: Annotated[str, StringConstraints(pattern=r"^https://")]  # where its authors publish it
    file: Text  # which of the files there
    converter: Text  # `personsearch convert --from`
    command: Text


class Licences(Settings):
    """Terms of use, as stated by whom they are named after."""

    code: Text
    weights: Text
    data: Text


class Published(Settings):
    """What a paper prints for this model."""

    dataset: Text
    setting: Text
    map: Percent
    top1: Percent
    paper: Text
    table: Text


class Measured(Settings):
    """What these weights gave with this package."""

    dataset: Text
    setting: Text
    map: Percent
    top1: Percent
    command: Text
    commit: Text
    machine: Text


class Metrics(Settings):
    """Numbers of others and our own, never mixed."""

    published: tuple[Published, ...]
    measured: tuple[Measured, ...]


class Entry(Settings):
    """One model that has a name."""

    architecture: Text
    config: dict[str, Any]  # what its config.json must hold; the rest is the architecture's default
    source: Annotated[Bundled | Hub | Convert, Field(discriminator="kind")]
    preprocessing: Text
    threshold: float = Field(ge=0, le=1)  # score from which people enter a gallery
    training_data: Text
    paper: Text
    licences: Licences
    metrics: Metrics
    note: Text | None = None


class Manifest(Settings):
    """The whole file."""

    version: Literal[1]
    models: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")], Entry]

    @model_validator(mode="after")
    def _commands_name_their_model(self) -> "Manifest":
        for name, entry in self.models.items():
            if isinstance(entry.source, Convert) and entry.source.command != convert_command(name):
                raise ValueError(f"{name}: command must be {convert_command(name)!r}, got {entry.source.command!r}")
        return self


Models: TypeAlias = Mapping[str, Entry]


def convert_command(name: str) -> str:
    """The command that makes a model of a downloaded checkpoint, FILE."""
    return f"personsearch convert FILE --name {name}"


def parse(text: str, source: Path) -> Models:
    """The models of a manifest's text, by name.

    Raises:
        ConfigError: not JSON, or not of this form; the message names the fields and `source`.
    """
    return options.parse(Manifest, text, source).models


@cache
def models() -> Models:
    """The models of this version, by name.

    Raises:
        ConfigError: the manifest is missing or damaged.
    """
    place = next((place for place in PLACES if place.is_file()), None)
    if place is None:
        raise ConfigError(f"{PLACES[0]} is missing; install personsearch again")
    return parse(place.read_text(encoding="utf-8"), place)


def differences(entry: Entry, config: Mapping[str, Any]) -> list[str]:
    """Where a model's config is not what the manifest says: "trained_on is 'PRW', not 'CUHK-SYSU'"."""
    wanted = {"architecture": entry.architecture, "min_score": entry.threshold, **entry.config}
    return _differences(wanted, config, "")


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any], path: str) -> list[str]:
    lines = []
    for key, value in wanted.items():
        got = found.get(key)
        if isinstance(value, Mapping) and isinstance(got, Mapping):
            lines += _differences(value, got, f"{path}{key}.")
        elif got != value:
            lines.append(f"{path}{key} is {got!r}, not {value!r}")
    return lines
