"""What is connected with what in the learners: each test fails if its connection is broken on purpose."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from personsearch.training.data.batches import AugmentRecipe
from personsearch.training.learners.build import build_learner
from personsearch.training.losses.mutual import MutualLearning, MutualRecipe, divergence, paired_means
from personsearch.training.losses.oim import OIMLoss, OIMRecipe
from personsearch.training.losses.regions import SampledRegions, sample_regions
from personsearch.training.pretraining import PretrainingRecipe, read_sub_tasks
from tests.helpers.pretraining_scenes import PLAN, pretraining_recipe, write_sub_tasks
from tests.helpers.training_scenes import HEIGHT, WIDTH, MadeUpScenes, batch_of, recipe_of

pytestmark = pytest.mark.usefixtures("one_thread")


def learner_of(name: str) -> Any:
    return build_learner(recipe_of(name), 4)


def test_mutual_terms_see_the_memories_of_before_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eq. 8 compares with both tables; after the step they hold the very features that are compared."""
    learner = learner_of("roi-alignps")
    for oim in (learner.oim, learner.roi_oim):
        oim.table.copy_(normalize(torch.randn(oim.table.shape)))
    before = learner.oim.table.clone(), learner.roi_oim.table.clone()
    tables: list[tuple[Tensor, Tensor]] = []

    def record(dense: Any, regions: Any, dense_oim: OIMLoss, region_oim: OIMLoss) -> dict[str, Tensor]:
        tables.append((dense_oim.table.clone(), region_oim.table.clone()))
        return {}

    monkeypatch.setattr(learner.mutual, "forward", record)
    learner(batch_of(learner, MadeUpScenes(2).samples))
    assert all(torch.equal(*pair) for pair in zip(tables[0], before, strict=True))
    assert not torch.equal(learner.oim.table, before[0])
    assert not torch.equal(learner.roi_oim.table, before[1])


def test_background_enters_no_memory_of_the_roi_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its regions have no identity, as unlabelled people, and would fill the queue."""
    learner = learner_of("roi-alignps")
    sampled: list[SampledRegions] = []
    taken: list[int] = []
    monkeypatch.setattr(
        "personsearch.training.learners.roi.sample_regions", lambda *all_: sampled.append(sample_regions(*all_)) or sampled[0]
    )
    monkeypatch.setattr(learner.roi_oim, "forward", lambda features, _: taken.append(len(features)) or features.sum())
    learner(batch_of(learner, MadeUpScenes(2).samples))
    positive = sampled[0].positive
    assert taken == [int(positive.sum())]
    assert 0 < taken[0] < len(positive)


def test_each_branch_is_compared_by_its_own_memory() -> None:
    """Eq. 8: KL(p^A || p^R), where p^A is of the AlignPS branch's features and table, p^R of the RoI branch's."""
    torch.manual_seed(0)
    dense_oim, region_oim = (OIMLoss(3, 8, OIMRecipe(queue_size=2)) for _ in range(2))
    for oim in (dense_oim, region_oim):
        oim.table.copy_(normalize(torch.randn(3, 8)))
        oim.queue.copy_(normalize(torch.randn(2, 8)))
    identities = torch.tensor([0, 1, 2])
    dense, regions = (normalize(torch.randn(3, 8)) for _ in range(2))
    mutual = MutualLearning(8, MutualRecipe(information=0, divergence=2.0))
    (term,) = mutual((dense, identities), (regions, identities), dense_oim, region_oim).values()
    torch.testing.assert_close(term, 2 * divergence(dense_oim.logits(dense), region_oim.logits(regions), 3))
    x, y = paired_means((regions, identities), (dense, identities))
    torch.testing.assert_close(torch.stack([x, y]), torch.stack([regions, dense]))


def test_no_gradient_of_the_second_head_moves_the_firsts_boxes() -> None:
    """The boxes that the first head has moved are the second's input, detached (SeqNet, "Training")."""
    learner = learner_of("seqnet")
    losses = learner(batch_of(learner, MadeUpScenes(2).samples))
    (losses["class"] + losses["box"] + losses["oim"]).backward()
    gradient = learner.network.first.boxes.weight.grad
    assert gradient is None or not gradient.any()
    assert learner.network.second.boxes[0].weight.grad.any()


def test_contrasted_rows_are_two_views_of_one_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eq. 6: the people of all first views, then the same people of all second ones."""
    people = read_sub_tasks(PretrainingRecipe.model_validate(PLAN), list(write_sub_tasks(tmp_path).items()))
    learner: Any = build_learner(pretraining_recipe("nae"), people.identities)
    learner.eval()
    items = learner.items(people, AugmentRecipe(sizes=((HEIGHT, WIDTH),), flip=0.5, brightness=0.3), 0)
    batch = items.batch([items[0, number] for number in (0, 3, 6, 9)])
    views: list[Tensor] = []
    monkeypatch.setattr("personsearch.training.learners.pretraining.contrast", lambda pair, *_: views.extend(pair) or pair[0].sum())
    learner(batch)
    network = learner.network
    unnamed = [boxes[:0] if named else boxes for boxes, named in zip(batch.boxes, batch.named, strict=True)]
    rows = network.reid_head(network.pool(network(batch.scenes.pixels), unnamed)).embeddings
    half = sum(len(boxes) for boxes in unnamed[: len(unnamed) // 2])
    assert 2 < half == len(rows) - half
    for view, expected in zip(views, (rows[:half], rows[half:]), strict=True):
        torch.testing.assert_close(view, expected)


def test_each_alignment_tells_the_sets_of_its_own_task_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eq. 7: two data sets of scenes and two of crops, each numbered from 0, in both views."""
    people = read_sub_tasks(PretrainingRecipe.model_validate(PLAN), list(write_sub_tasks(tmp_path).items()))
    learner: Any = build_learner(pretraining_recipe("nae"), people.identities)
    items = learner.items(people, AugmentRecipe(sizes=((HEIGHT, WIDTH),), flip=0.5, brightness=0.3), 0)
    seen: dict[str, list[int]] = {}

    def recording(task: str) -> Any:
        return lambda features: seen.update({task: features.domains.tolist()}) or {}

    for task in ("detection", "reid"):
        monkeypatch.setattr(getattr(learner, f"{task}_alignment"), "forward", recording(task))
    learner(items.batch([items[0, number] for number in (0, 3, 6, 9)]))
    assert seen["detection"] == [0, 1, 0, 1]
    half = seen["reid"].index(1)
    assert seen["reid"][:half] == [0] * half
    assert set(seen["reid"]) == {0, 1}


def test_rows_of_contrasted_people_enter_no_other_loss(tmp_path: Path) -> None:
    """Regions and contrasted people go through the head together; class, box and OIM losses must take the regions' rows alone."""
    people = read_sub_tasks(PretrainingRecipe.model_validate(PLAN), list(write_sub_tasks(tmp_path).items()))
    learner: Any = build_learner(pretraining_recipe("nae"), people.identities)
    plain: Any = build_learner(recipe_of("nae"), people.identities)
    plain.load_state_dict({key: one for key, one in learner.state_dict().items() if key in plain.state_dict()})
    items = learner.items(people, AugmentRecipe(sizes=((HEIGHT, WIDTH),), flip=0.5, brightness=0.3), 0)
    batch = items.batch([items[0, number] for number in (0, 3, 6, 9)])
    losses = []
    for one in (learner, plain):
        one.eval()  # batch norm would see the additional rows
        one.oim.table.copy_(torch.eye(*one.oim.table.shape))
        torch.manual_seed(0)
        losses.append(one(batch))
    assert "contrast" in losses[0]
    for name, expected in losses[1].items():
        torch.testing.assert_close(losses[0][name], expected, msg=name)
