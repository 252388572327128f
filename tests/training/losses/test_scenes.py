"""GFN's loss against loops over its definition, and the memory that adds scenes to a batch."""

import io
import math

import numpy as np
import pytest
import torch

from personsearch.models.config import BackboneConfig
from personsearch.models.gfn import GalleryFilter, GalleryFilterConfig
from personsearch.training.losses.scenes import SceneFilterRecipe, SceneMemory, ScenePeople, scene_loss

RECIPE = SceneFilterRecipe()
# Three scenes: 5 and an unlabelled person; 5 and 7; 9 and an unlabelled person
NAMES = [torch.tensor([5, -1]), torch.tensor([5, 7]), torch.tensor([9, -1])]
SHOWN = [[1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
# The unlabelled person of scene 0 may be in scene 1, which shows 5 too
NEGATIVES = [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 0, 0]]


def filters(dim: int = 6) -> GalleryFilter:
    """A gallery filter in training, of whose layers the loss uses the norm."""
    torch.manual_seed(3)
    network = GalleryFilter(BackboneConfig(name="resnet18", width=0.125), dim, GalleryFilterConfig(pool=4, temperature=0.2)).train()
    torch.nn.init.uniform_(network.norm.weight, 0.5, 2)
    torch.nn.init.normal_(network.norm.bias)
    return network


def people(dim: int = 6) -> ScenePeople:
    torch.manual_seed(4)
    return ScenePeople.of(torch.randn(3, dim), torch.randn(6, dim), NAMES)


def by_loops(network: GalleryFilter, crowd: ScenePeople, temperature: float, *, sure: bool) -> float:
    """The loss as the paper and the authors' code define it, in float64, pair by pair."""
    weight, bias = (tensor.detach().double().numpy() for tensor in (network.norm.weight, network.norm.bias))
    scenes, rows = (tensor.double().numpy() for tensor in (crowd.scenes, crowd.rows))
    names, scene_of = crowd.identities.tolist(), crowd.scene_of.tolist()
    gated = {}
    for i, scene in enumerate(scenes):
        for q, row in enumerate(rows):
            gate = 1 / (1 + np.exp(-row / np.linalg.norm(row) / 0.2))
            gated[i, q] = scene / np.linalg.norm(scene) * gate
    table = np.stack(list(gated.values()))
    mean, variance = table.mean(axis=0), table.var(axis=0)
    fused = {pair: (row - mean) / np.sqrt(variance + 1e-5) * weight + bias for pair, row in gated.items()}
    members = [{names[q] for q in range(len(names)) if scene_of[q] == i and names[q] >= 0} for i in range(len(scenes))]
    losses = []
    for q, name in enumerate(names):
        own = scene_of[q]
        cosine = {}
        for i in range(len(scenes)):
            cosine[i] = fused[own, q] @ fused[i, q] / np.linalg.norm(fused[own, q]) / np.linalg.norm(fused[i, q]) / temperature
        positives = [i for i in cosine if i == own or name in members[i]]
        others = [i for i in cosine if i not in positives]
        if sure and name < 0:
            others = [i for i in others if not members[i] & members[own]]
        for i in positives:
            losses.append(-math.log(math.exp(cosine[i]) / (math.exp(cosine[i]) + sum(math.exp(cosine[j]) for j in others))))
    return float(np.mean(losses))


@pytest.mark.parametrize(("temperature", "sure"), [(0.1, True), (0.1, False), (0.5, True)])
def test_the_loss_is_its_definition(temperature: float, sure: bool) -> None:
    network, crowd = filters(), people()
    recipe = SceneFilterRecipe(temperature=temperature, sure_negatives=sure)
    loss = scene_loss(network.fuse, crowd, recipe).item()
    assert loss == pytest.approx(by_loops(network, crowd, temperature, sure=sure), rel=2e-5)
    assert loss != pytest.approx(by_loops(network, crowd, temperature, sure=not sure), rel=1e-4)


def test_fusing_in_training_and_in_a_search_agree() -> None:
    """With the running statistics, what training makes contrastive is what a search compares."""
    network, crowd = filters(), people()
    for _ in range(50):
        network.fuse(crowd.scenes, crowd.rows)
    with torch.no_grad():
        fused = network.eval().fuse(crowd.scenes, crowd.rows)
    searched = network.arithmetic().fuse(crowd.rows[2].numpy(), crowd.scenes.numpy())
    np.testing.assert_allclose(fused[:, 2], searched, atol=1e-5)


def test_shown_and_negatives_by_hand() -> None:
    crowd = people()
    assert crowd.shown().int().tolist() == SHOWN
    assert crowd.negatives(RECIPE).int().tolist() == NEGATIVES
    assert crowd.negatives(SceneFilterRecipe(sure_negatives=False)).equal(~crowd.shown())


def test_without_negatives_the_loss_is_0_and_has_a_gradient() -> None:
    network = filters()
    crowd = ScenePeople.of(torch.randn(2, 6, requires_grad=True), torch.randn(2, 6), [torch.tensor([1]), torch.tensor([1])])
    loss = scene_loss(network.fuse, crowd, RECIPE)
    loss.backward()
    assert loss.item() == 0
    assert crowd.scenes.grad is not None
    assert crowd.scenes.grad.isfinite().all()


def memory_of(names: dict[int, list[int]]) -> SceneMemory:
    memory = SceneMemory()
    for number, identities in names.items():
        crowd = ScenePeople.of(
            torch.full((1, 4), float(number)), torch.full((len(identities), 4), float(number)), [torch.tensor(identities)]
        )
        memory.remember([number], crowd)
    return memory


def test_a_draw_adds_a_scene_with_the_person_and_a_hard_one_without() -> None:
    memory = memory_of({0: [1, 2], 1: [1, -1], 2: [2, -1], 3: [7], 4: [1, 2]})
    drawn = {tuple(memory.draw([0], [torch.tensor([1, 2, -1])], RECIPE)) for _ in range(60)}
    # one identity is drawn: 1 is shown by 1 and 4, and 2 shows 2 alone; 2 is shown by 2 and 4, and 1 shows 1 alone
    assert drawn == {(1, 2), (4, 2), (2, 1), (4, 1)}
    assert memory.draw([9], [torch.tensor([-1])], RECIPE) == []
    assert SceneMemory().draw([0], [torch.tensor([1])], RECIPE) == []


def test_remembered_scenes_come_first_with_their_people() -> None:
    memory = memory_of({3: [7], 4: [1, 2]})
    both = people(4).after(memory.people([4, 3], torch.device("cpu")))
    assert both.scenes[:2, 0].tolist() == [4, 3]
    assert both.scene_of.tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 4]
    assert both.identities.tolist() == [1, 2, 7, 5, -1, 5, 7, 9, -1]


def test_the_memory_is_a_part_of_a_trainings_state() -> None:
    memory = memory_of({3: [7], 4: [1, 2]})
    torch.save(memory.state_dict(), file := io.BytesIO())
    file.seek(0)
    again = SceneMemory()
    again.load_state_dict(torch.load(file, weights_only=True))
    assert list(again.pictures) == [3, 4]
    assert again.pictures[4][1].equal(memory.pictures[4][1])
    assert memory_of({5: []}).pictures == {}
