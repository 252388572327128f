"""Groups of options: strict and frozen, and mistakes in them as one readable error."""

import pytest
from pydantic import Field, ValidationError

from personsearch.errors import ConfigError, DataError
from personsearch.options import DEEPEST, SHOWN, Settings, explain, from_json, parse


class Layer(Settings):
    """A part of the test's options."""

    width: int = Field(gt=0)


class Network(Settings):
    """The test's options."""

    name: str
    layers: tuple[Layer, ...] = ()


def test_values_and_json_give_the_same_options() -> None:
    expected = Network(name="n", layers=(Layer(width=3),))
    assert parse(Network, {"name": "n", "layers": [{"width": 3}]}, "here") == expected
    for text in ('{"name": "n", "layers": [{"width": 3}]}', b'{"name": "n", "layers": [{"width": 3}]}'):
        assert parse(Network, text, "here") == expected


def test_options_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Network(name="n").name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "n", "nmae": 1}, "config.json: nmae: Extra inputs are not permitted, got 1"),
        ({}, "config.json: name: Field required"),
        ({"name": "n", "layers": [{"width": 1}, {"width": 0}]}, "config.json: layers[1].width: Input should be greater than 0, got 0"),
        ([], "config.json: Input should be a valid dictionary or instance of Network, got []"),
    ],
)
def test_a_mistake_names_file_field_and_value(values: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(Network, values, "config.json")
    assert str(error.value) == message


def test_malformed_json_is_the_error_that_the_caller_chose() -> None:
    with pytest.raises(DataError, match=r"^config\.json: Invalid JSON"):
        parse(Network, "{", "config.json", error=DataError)


def test_only_the_first_mistakes_are_shown() -> None:
    with pytest.raises(ValidationError) as error:
        Network(name="n", layers=[{"width": 0}] * (SHOWN + 2))  # type: ignore[arg-type]
    text = explain(error.value)
    assert text.count("greater than 0") == SHOWN
    assert text.endswith("(and 2 more mistakes)")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_json_in_every_encoding(encoding: str) -> None:
    content = '{"name": "Zoë"}'.encode(encoding)
    assert from_json(content, "here") == {"name": "Zoë"}
    assert parse(Network, content, "here") == Network(name="Zoë")


@pytest.mark.parametrize("depth", [DEEPEST + 1, 900, 100_000])
@pytest.mark.parametrize("start", ["[", '{"a":'])
def test_deep_json_is_an_error_and_no_recursion(start: str, depth: int) -> None:
    ends = {"[": "]", '{"a":': "}"}[start]
    with pytest.raises(ConfigError, match="here has more than 50 lists and objects inside one another"):
        from_json(start * depth + "1" + ends * depth, "here")
    assert from_json("[" * DEEPEST + "]" * DEEPEST, "here")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "here is not JSON"),
        (b'{"a": }', "here is not JSON"),
        (b'{"name": "Zo\xeb"}', "here is not JSON: it is not UTF-8 or UTF-16 text"),
        ("[" + "9" * 5000 + "]", "here is not JSON"),
        ('["\ud800"]', "here is not JSON: it is not UTF-8"),
    ],
)
def test_other_content_is_an_error(content: bytes | str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_json(content, "here", error=DataError)


def test_a_number_that_is_not_finite_is_an_error() -> None:
    class Scale(Settings):
        value: float = 1.0

    with pytest.raises(ConfigError, match="value: Input should be a finite number"):
        parse(Scale, {"value": float("inf")}, "here")


def test_long_and_odd_keys_are_shortened() -> None:
    with pytest.raises(ConfigError) as raised:
        parse(Network, {"name": "n", "x" * 5000: 1, "\x1b[31m": 10**5000}, "here")
    assert len(str(raised.value)) < 400
    assert "\x1b" not in str(raised.value)
