"""The hybrid pre-training: its data, and what its learner makes of them."""

import json
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from personsearch import PersonSearcher
from personsearch.cli import app as cli
from personsearch.errors import ConfigError
from personsearch.training.checkpoint import MODEL_FOLDER
from personsearch.training.data.batches import AugmentRecipe, TrainItems, collate
from personsearch.training.data.unify import UnifyRecipe
from personsearch.training.learners.build import build_learner
from personsearch.training.learners.pretraining import PretrainingLearner
from personsearch.training.pretraining import PairBatch, PairItems, PretrainingRecipe, SubTaskPeople, read_sub_tasks
from personsearch.training.recipes.schema import Recipe
from personsearch.training.trainer import Trainer
from tests.helpers.pretraining_scenes import PLAN, SETS, pretraining_recipe, write_sub_tasks
from tests.helpers.training_scenes import HEIGHT, WIDTH, MadeUpScenes, recipe_of

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

AUGMENT = AugmentRecipe(sizes=((HEIGHT, WIDTH),), flip=0.5, brightness=0.3)
IMAGES = (0, 3, 6, 9)  # one of each set


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> SubTaskPeople:
    roots = write_sub_tasks(tmp_path_factory.mktemp("sets"))
    return read_sub_tasks(PretrainingRecipe.model_validate(PLAN), list(roots.items()))


def learner_of(people: SubTaskPeople, name: str = "nae", **plan) -> PretrainingLearner:
    learner = build_learner(pretraining_recipe(name, plan), people.identities)
    assert isinstance(learner, PretrainingLearner)
    return learner


def batch_of(learner: PretrainingLearner, people: SubTaskPeople, numbers=IMAGES) -> PairBatch:
    items: Any = learner.items(people, AUGMENT, 0)
    return items.batch([items[0, number] for number in numbers])


def losses_of(learner: PretrainingLearner, batch: PairBatch) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return learner(batch)


def test_every_person_nobody_named_is_an_identity_of_its_own(people) -> None:
    # scenes 0 to 5 have 3 or 4 people in turn; three crops of two people; three unnamed crops
    assert (len(people), people.identities) == (12, 3 * 7 + 2 + 3)
    scenes = np.concatenate([people[number].identities for number in range(6)])
    assert scenes.tolist() == list(range(21))
    assert [people[number].identities.tolist() for number in range(6, 12)] == [[21], [22], [21], [23], [24], [25]]
    assert [people.set_of(number) for number in range(12)] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert [(one.crops, one.named) for one in people.sets] == [(False, False), (False, False), (True, True), (True, False)]


def test_the_sets_must_be_the_recipes(tmp_path) -> None:
    recipe = PretrainingRecipe.model_validate(PLAN)
    with pytest.raises(ConfigError, match=r"learns from crowdhuman, eurocity, msmt17, luperson; got prw"):
        read_sub_tasks(recipe, [("prw", tmp_path)])
    with pytest.raises(ConfigError, match="got none"):
        read_sub_tasks(recipe, [])
    roots = write_sub_tasks(tmp_path, 1)
    assert len(read_sub_tasks(recipe, list(reversed(roots.items()))).sets) == 4


def test_one_reader_for_two_sets(tmp_path) -> None:
    first, second = (write_sub_tasks(tmp_path / name, count)["luperson"] for name, count in (("a", 1), ("b", 2)))
    recipe = PretrainingRecipe(detection=(), reid=("luperson", "luperson"))
    people = read_sub_tasks(recipe, [("luperson", first), ("luperson", second)])
    assert [len(one.people) for one in people.sets] == [1, 2]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"detection": [], "reid": []}, "name a data set"),
        ({"detection": ["msmt17"]}, "msmt17 holds crops"),
        ({"reid": ["prw"]}, "prw holds whole pictures"),
        ({"reid": ["lupersons"]}, "unknown data set 'lupersons'"),
    ],
)
def test_sets_in_the_wrong_place(plan, message) -> None:
    with pytest.raises(ValueError, match=message):
        PretrainingRecipe.model_validate(PLAN | plan)


def test_only_region_networks_are_pretrained_and_on_all_their_data() -> None:
    values = recipe_of("alignps").model_dump() | {"pretraining": PLAN}
    with pytest.raises(ValueError, match="not for alignps"):
        Recipe.model_validate(values)
    with pytest.raises(ValueError, match="share"):
        Recipe.model_validate(recipe_of("nae").model_dump() | {"pretraining": PLAN, "share": 0.5})


def test_two_views_show_the_same_people(people) -> None:
    items = PairItems(people, learner_of(people).prepare, AUGMENT, 0, UnifyRecipe(size=(HEIGHT, WIDTH)))
    differ = 0
    for number in range(12):
        item, again = items[4, number], items[4, number]
        assert torch.equal(item.scene.pixels, again.scene.pixels)
        assert torch.equal(item.identities, item.other.identities)
        # a flip keeps the heights and the sizes of all boxes
        torch.testing.assert_close(item.boxes[:, 1::2], item.other.boxes[:, 1::2])
        torch.testing.assert_close(item.boxes[:, 2] - item.boxes[:, 0], item.other.boxes[:, 2] - item.other.boxes[:, 0])
        differ += not torch.equal(item.scene.pixels, item.other.scene.pixels)
    assert differ == 12  # the light alone sees to that
    assert not torch.equal(items[4, 9].boxes, items[5, 9].boxes)  # another epoch, another canvas


def test_worker_processes_can_have_the_items(people) -> None:
    items: Any = learner_of(people).items(people, AUGMENT, 0)
    copied = pickle.loads(pickle.dumps(items.batch)).__self__
    assert torch.equal(copied[2, 9].other.scene.pixels, items[2, 9].other.scene.pixels)


def test_a_batch_has_all_first_views_then_all_others(people) -> None:
    learner = learner_of(people)
    batch = batch_of(learner, people)
    assert batch.scenes.pixels.shape == (8, 3, HEIGHT, WIDTH)
    assert batch.sets.tolist() == [0, 1, 2, 3] * 2
    assert batch.named.tolist() == [False, False, True, False] * 2
    for first, other in zip(batch.identities[:4], batch.identities[4:], strict=True):
        assert torch.equal(first, other)
    assert isinstance(batch.to(torch.device("cpu")), PairBatch)


NAMES = {"rpn_class", "rpn_box", "class", "box", "oim", "contrast"}
TERMS = ("image", "instance", "consistency")


@pytest.mark.parametrize(
    ("name", "backbone"), [*((name, "resnet18") for name in ("oim", "nae", "nae+", "seqnet")), ("nae", "resnet50"), ("nae", "shufflenet")]
)
def test_every_parameter_learns(name, backbone, people) -> None:
    plan, small = {"alignment": {"hidden": 16, "inter_task": True}}, {"name": backbone, "width": 0.125}
    learner = build_learner(pretraining_recipe(name, plan, backbone=small), people.identities)
    losses = losses_of(learner, batch_of(learner, people, (0, 9)))
    first = {"first_class", "first_box"} if name == "seqnet" else set()
    assert set(losses) == NAMES | first | {f"{task}_{term}" for task in ("detection", "reid", "task") for term in TERMS}
    assert all(loss.shape == () and loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert [key for key, one in learner.named_parameters() if one.grad is None] == []
    assert all(one.grad.isfinite().all() for one in learner.parameters())


@pytest.mark.parametrize(
    ("plan", "missing"),
    [
        ({"contrast": None}, {"contrast"}),
        ({"alignment": None}, {f"{task}_{term}" for task in ("detection", "reid") for term in TERMS}),
        ({"alignment": {"consistency": 0}}, {"detection_consistency", "reid_consistency"}),
        ({"alignment": {"image": 0}}, {"detection_image", "reid_image"}),
        ({"alignment": {"instance": 0}}, {"detection_instance", "reid_instance"}),
    ],
)
def test_every_ablation_is_a_switch(plan, missing, people) -> None:
    learner = learner_of(people, **plan)
    every = NAMES | {f"{task}_{term}" for task in ("detection", "reid") for term in TERMS}
    assert set(losses_of(learner, batch_of(learner, people))) == every - missing


def test_one_set_of_a_task_needs_no_alignment(people) -> None:
    learner = build_learner(pretraining_recipe(plan={"detection": ["crowdhuman"]}), 9)
    assert (learner.detection_alignment is None, learner.reid_alignment is None) == (True, False)


def test_without_pretraining_parts_the_losses_are_the_ordinary_ones(people) -> None:
    learner = learner_of(people, contrast=None, alignment=None)
    plain = build_learner(recipe_of("nae"), people.identities)
    plain.load_state_dict(learner.state_dict())
    batch = batch_of(learner, people)
    expected = losses_of(plain, batch)
    for name, loss in losses_of(learner, batch).items():
        torch.testing.assert_close(loss, expected[name])


def contrasted(people: SubTaskPeople, numbers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """What the contrastive loss is given for some pictures."""
    given: list[tuple[Tensor, Tensor]] = []

    def record(views, predictor, recipe) -> Tensor:
        given.append(views)
        return views[0].sum() * 0

    monkeypatch.setattr("personsearch.training.learners.pretraining.contrast", record)
    learner = learner_of(people)
    losses_of(learner, batch_of(learner, people, numbers))
    return given


def test_people_nobody_named_are_contrasted_and_the_others_not(people, monkeypatch) -> None:
    ((first, other),) = contrasted(people, IMAGES, monkeypatch)
    assert len(first) == len(other) == 3 + 4 + 1  # scenes 0 and 3, and the unnamed crop
    ((first, _),) = contrasted(people, (6, 7), monkeypatch)
    assert len(first) == 0


def test_row_k_of_both_views_is_the_same_person(people, monkeypatch) -> None:
    # two views that are alike give the same rows, whatever their order; batch norm sees both in one batch
    monkeypatch.setitem(globals(), "AUGMENT", AUGMENT.model_copy(update={"flip": 0.0, "brightness": 0.0}))
    ((first, other),) = contrasted(people, IMAGES, monkeypatch)
    torch.testing.assert_close(first, other, rtol=1e-4, atol=1e-5)
    assert (first[0] - first[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["nae", "seqnet"])
def test_each_module_sees_its_own_task(name, people) -> None:
    learner = learner_of(people, name, alignment={"hidden": 16, "inter_task": True})
    seen = {}
    for place in ("detection_alignment", "reid_alignment", "task_alignment"):
        module = getattr(learner, place)
        module.register_forward_pre_hook(lambda _, inputs, place=place: seen.update({place: inputs[0]}))
    losses_of(learner, batch_of(learner, people))
    detection, reid, task = seen["detection_alignment"], seen["reid_alignment"], seen["task_alignment"]
    assert detection.domains.tolist() == [0, 1, 0, 1]
    assert len(detection.rows) == 4 * 32  # all regions of the recipe's 32 an image
    assert (detection.owners == torch.arange(4).repeat_interleave(32)).all()
    assert detection.inside.all()  # these images have no padding
    assert set(reid.domains.tolist()) == {0, 1}
    assert len(reid.rows) == len(reid.maps) == len(reid.domains) < 4 * 32
    assert (reid.owners == torch.arange(len(reid.rows))).all()
    assert reid.maps.shape[2:] == (14, 14)
    assert task.domains.tolist() == [0, 0, 1, 1] * 2
    assert set(task.owners.tolist()) == set(range(8))


def test_the_domains_of_one_task_are_not_the_others(people) -> None:
    learner = learner_of(people)
    without = losses_of(learner, batch_of(learner, people, (6, 9)))
    assert [without[f"detection_{term}"].item() for term in TERMS] == [0, 0, 0]
    assert without["reid_image"] > 0


def test_alignment_turns_the_backbones_gradient_round(people) -> None:
    def gradient(reversal: float) -> tuple[Tensor, Tensor]:
        learner: Any = learner_of(people, alignment={"hidden": 16, "reversal": reversal, "weight": 1})
        losses_of(learner, batch_of(learner, people))["detection_image"].backward()
        return learner.network.backbone.conv1.weight.grad, learner.detection_alignment.classifiers.image_head.weight.grad

    (network, head), (doubled, same) = gradient(1.0), gradient(2.0)
    assert network.any()
    torch.testing.assert_close(doubled, 2 * network)
    torch.testing.assert_close(same, head)


def test_pictures_of_nobody(people) -> None:
    class NoPeople(SubTaskPeople):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return type(sample)(sample.image, sample.boxes[:0], sample.identities[:0])

    learner = learner_of(people, alignment={"hidden": 16, "inter_task": True})
    losses = losses_of(learner, batch_of(learner, NoPeople(people.sets), (0, 3)))
    torch.stack(list(losses.values())).sum().backward()
    assert losses["oim"].item() == losses["contrast"].item() == losses["reid_image"].item() == 0
    assert all(loss.isfinite() for loss in losses.values())


def test_other_data_and_batches_are_told(people) -> None:
    learner = learner_of(people)
    with pytest.raises(ConfigError, match="data sets by name"):
        learner.items(MadeUpScenes(2), AUGMENT, 0)
    items = TrainItems(MadeUpScenes(1), learner.prepare, AUGMENT, 0)
    with pytest.raises(ConfigError, match="pairs of views"):
        learner(collate([items[0, 0]]))


def test_pretrain_on_the_command_line(tmp_path) -> None:
    roots, recipe, out = write_sub_tasks(tmp_path / "sets", 1), tmp_path / "recipe.json", tmp_path / "out"
    recipe.write_text(pretraining_recipe(epochs=1).model_dump_json())
    options = [text for name in SETS for text in ("--dataset", name, "--root", str(roots[name]))]
    result = CliRunner().invoke(cli.app, ["train", str(recipe), str(out), *options, "--device", "cpu"])
    assert json.loads(result.stdout) == {"folder": str(out / MODEL_FOLDER)}
    assert PersonSearcher.from_pretrained(out / MODEL_FOLDER, device="cpu").model.name == "nae"
    wrong = CliRunner().invoke(cli.app, ["train", str(recipe), str(tmp_path / "other"), *options[:4], "--device", "cpu"])
    assert isinstance(wrong.exception, ConfigError)


def test_a_resumed_pretraining_gives_the_same_numbers(tmp_path) -> None:
    people = read_sub_tasks(PretrainingRecipe.model_validate(PLAN), list(write_sub_tasks(tmp_path / "sets", 1).items()))
    recipe = pretraining_recipe(epochs=1, batch_size=2)
    build = partial(build_learner, recipe, people.identities)
    whole, parts = Trainer(recipe, build(), people, tmp_path / "a"), Trainer(recipe, build(), people, tmp_path / "b")
    whole.run()
    parts.run(until=1)
    again = Trainer(recipe, build(), people, tmp_path / "b")
    again.resume()
    again.run()
    for name, tensor in whole.learner.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), again.learner.state_dict()[name].numpy(), err_msg=name)
