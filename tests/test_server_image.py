"""The Dockerfile of a server: its commands name files, options and extras that exist. Docker itself is not run."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from typer.main import get_command

from personsearch.cli.app import app

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = (ROOT / "examples/server/Dockerfile").read_text()
INSTRUCTIONS = [line.split(maxsplit=1) for line in re.sub(r"\\\n\s*", "", TEXT).splitlines() if line and not line.startswith("#")]


def instructions(name: str) -> list[str]:
    return [rest for instruction, rest in INSTRUCTIONS if instruction == name]


def pip_installs(text: str) -> list[list[str]]:
    """Arguments of each `pip install` of a shell line."""
    commands = [shlex.split(command) for command in text.split("&&")]
    return [command[2:] for command in commands if command[:2] == ["pip", "install"]]


def test_it_installs_the_requirements_then_the_package_without_dependencies() -> None:
    installs = [install for line in instructions("RUN") for install in pip_installs(line)]
    assert installs == [
        ["--no-cache-dir", "build"],
        ["--no-cache-dir", "-r", "/wheels/requirements.txt"],
        ["--no-cache-dir", "--no-deps", "/wheels/*.whl"],
    ]
    assert "build" in {Requirement(line).name for line in PROJECT["optional-dependencies"]["test"]}
    assert (ROOT / "docs/deployment.md").read_text().count(
        "pip install -r examples/server/requirements.txt && pip install --no-deps ."
    ) == 1


def test_it_copies_files_that_exist_to_where_they_are_used() -> None:
    copies = [shlex.split(line) for line in instructions("COPY")]
    assert copies == [[".", "."], ["--from=build", "/wheels", "/wheels"], ["examples/server/requirements.txt", "/wheels/"]]
    assert (ROOT / copies[2][0]).is_file()
    ignored = (ROOT / ".dockerignore").read_text().split()
    built_from = {"personsearch", "weights_manifest.json", "pyproject.toml", "README.md", *PROJECT["license-files"]}
    assert not {name for name in ignored if any(name.strip("/") == path.partition("/")[0] for path in built_from)}


def test_its_python_is_one_that_the_package_supports() -> None:
    images = {line.split()[0] for line in instructions("FROM")}
    (version,) = {re.fullmatch(r"python:(3\.\d+)-slim", image)[1] for image in images}  # type: ignore[index]
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_it_runs_a_command_as_a_user_without_rights() -> None:
    assert instructions("ENTRYPOINT") == ['["personsearch"]']
    assert "personsearch" in PROJECT["scripts"]
    order = [name for name, _ in INSTRUCTIONS]
    assert order.index("USER") > max(number for number, name in enumerate(order) if name == "RUN")
    assert instructions("USER") == ["personsearch"]
    assert "useradd --create-home personsearch" in TEXT


@pytest.mark.parametrize("line", re.findall(r"^#\s+docker run .*$", TEXT, re.MULTILINE))
def test_its_example_passes_options_that_exist(line: str) -> None:
    words = shlex.split(line.lstrip("# "))
    command = words[words.index("personsearch") + 1 :]
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert command[0] in commands
    known = {option for parameter in commands[command[0]].params for option in parameter.opts}
    assert {word for word in command if word.startswith("--")} <= known
    assert "--network none" in line


def test_the_example_is_read_at_all() -> None:
    assert len(re.findall(r"^#\s+docker run .* personsearch index .*$", TEXT, re.MULTILINE)) == 1
    assert pip_installs("true && pip install a b") == [["a", "b"]]
