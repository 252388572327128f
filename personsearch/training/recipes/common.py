"""What the recipes of all papers share: names of data sets, frozen layers, sampling of regions, and checked changes."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from personsearch.options import Settings, parse
from personsearch.training.losses.regions import SamplingRecipe
from personsearch.training.recipes.schema import Recipe

Data = Literal["cuhk", "prw"]
DATA: tuple[Data, ...] = ("cuhk", "prw")
Builder = Callable[[], Recipe]
Group = TypeVar("Group", bound=Settings)

QUEUES: dict[Data, int] = {"cuhk": 5000, "prw": 500}  # unlabelled people that OIM keeps
FIRST_LAYERS = ("backbone.conv1", "backbone.bn1")
NEGATIVES_BELOW = SamplingRecipe(negative_iou=0.1)  # NAE's, ROI-AlignPS's and DKD's; SeqNet's is 0.5


def changed(settings: Group, **fields: Any) -> Group:
    """A copy of a recipe, or of a group of its options, with other values.

    Args:
        settings: recipe or group to copy.
        fields: new values by field name; the copy is checked as a new recipe is.

    Raises:
        ConfigError: a field is unknown, or its value has the wrong type or is out of range.
    """
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    return parse(type(settings), values | fields, type(settings).__name__)


def network_of(config: Settings) -> dict[str, Any]:
    """The `network` of a recipe: the fields that a model's config sets, without its defaults."""
    return config.model_dump(mode="json", exclude_unset=True)
