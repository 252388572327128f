"""Read and check `weights_manifest.json`, the list of named models."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from personsearch import options
from personsearch.errors import ConfigError
from personsearch.options import Settings
from personsearch.weights.contents import BESIDE_XML, NETWORKS, check_inside
from personsearch.weights.folder import CONFIG_FILE

PACKAGE = Path(__file__).parent.parent
FILE = "weights_manifest.json"
PATHS = (PACKAGE / "data" / FILE, PACKAGE.parent / FILE)  # in the wheel, in the source tree

Text = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Percent = Annotated[float, Field(ge=0, le=100)]
EXTERNAL = ".onnx.data"  # external weights of an ONNX file


class Bundled(Settings):
    """Weights inside the package."""

    kind: Literal["bundled"]
    folder: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]  # folder in personsearch/data
    sha256: Sha256  # digest of model.safetensors
    others: dict[Text, Sha256] = Field(default_factory=dict)  # digests of further files


class HubFile(Settings):
    """One file of a Hub repository."""

    file: Annotated[str, AfterValidator(check_inside)]  # path in the repository
    sha256: Sha256
    bytes: int = Field(gt=0)

    @model_validator(mode="after")
    def _config_or_network(self) -> "HubFile":
        if not self.file.endswith((CONFIG_FILE, *NETWORKS, BESIDE_XML, EXTERNAL)):
            raise ValueError(f"{self.file} is neither {CONFIG_FILE} nor safetensors, ONNX or OpenVINO; other files are never downloaded")
        return self


class Hub(Settings):
    """Weights on the Hugging Face Hub, at one commit."""

    kind: Literal["hub"]
    repo: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    files: tuple[HubFile, ...]

    @model_validator(mode="after")
    def _make_a_model(self) -> "Hub":
        if CONFIG_FILE not in self.digests or len(self.digests) < 2 or len(self.digests) != len(self.files):
            raise ValueError(f"files must be {CONFIG_FILE} and the networks that it names, each once")
        return self

    @property
    def digests(self) -> dict[str, str]:
        """sha256 of each file, by name."""
        return {file.file: file.sha256 for file in self.files}


class Convert(Settings):
    """Weights in the authors' checkpoint, which the user downloads and converts."""

    kind: Literal["convert"]
    whose: Text
    repository: Annotated[str, StringConstraints(pattern=r"^https://")]  # address where the authors publish it
    file: Text  # name of the checkpoint on that page
    converter: Text  # value of `personsearch convert --from`
    command: Text


class Licences(Settings):
    """Terms of use, as the owners of code, weights and data state them."""

    code: Text
    weights: Text
    data: Text


class Published(Settings):
    """Results that a paper prints for this model."""

    dataset: Text
    setting: Text
    map: Percent
    top1: Percent
    paper: Text
    table: Text


class Measured(Settings):
    """Results measured with these weights and this package."""

    dataset: Text
    setting: Text
    map: Percent
    top1: Percent
    command: Text
    commit: Text
    machine: Text


class Metrics(Settings):
    """Published and measured results, kept apart."""

    published: tuple[Published, ...]
    measured: tuple[Measured, ...]


class Entry(Settings):
    """One named model."""

    architecture: Text
    config: dict[str, Any]  # required values of its config.json; others are the architecture's defaults
    source: Annotated[Bundled | Hub | Convert, Field(discriminator="kind")]
    preprocessing: Text
    threshold: float = Field(ge=0, le=1)  # least score of people in a gallery
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
    """The command that converts a downloaded checkpoint, FILE."""
    return f"personsearch convert FILE --name {name}"


def parse(text: str, source: Path) -> Models:
    """The models of a manifest, by name.

    Args:
        text: Content of the manifest, JSON.
        source: File that the text comes from, named in errors.

    Raises:
        ConfigError: The text is not JSON, or a field is missing, unknown or wrong.
    """
    return options.parse(Manifest, text, source).models


@cache
def models() -> Models:
    """The models of this version, by name.

    Raises:
        ConfigError: The manifest is missing or damaged.
    """
    path = next((path for path in PATHS if path.is_file()), None)
    if path is None:
        raise ConfigError(f"{PATHS[0]} is missing; install personsearch again")
    return parse(path.read_text(encoding="utf-8"), path)


def differences(entry: Entry, config: Mapping[str, Any]) -> list[str]:
    """Differences of a model's config from the manifest, such as "trained_on is 'PRW', not 'CUHK-SYSU'"."""
    expected = {"architecture": entry.architecture, "min_score": entry.threshold, **entry.config}
    return _differences(expected, config, "")


def _differences(expected: Mapping[str, Any], config: Mapping[str, Any], path: str) -> list[str]:
    lines = []
    for key, value in expected.items():
        got = config.get(key)
        if isinstance(value, Mapping) and isinstance(got, Mapping):
            lines += _differences(value, got, f"{path}{key}.")
        elif got != value:
            lines.append(f"{path}{key} is {got!r}, not {value!r}")
    return lines
