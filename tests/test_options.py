"""Groups of options: strict and frozen, and mistakes in them as one readable error."""

import pytest
from pydantic import Field, ValidationError

from personsearch.errors import ConfigError, DataError
from personsearch.options import SHOWN, Settings, explain, parse


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
