import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18, shufflenet_v2_x0_5

from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.models.parts.heads import HeadOutput
from personsearch.training.checkpoint import save_trained
from personsearch.training.data.dataset import Sample
from personsearch.training.learners.base import Learner, person_loss
from personsearch.training.learners.build import build_learner
from personsearch.training.learners.dense import Named, reid
from personsearch.training.learners.roi import ROILearner
from personsearch.training.learners.seqnext import SeqNeXtLearner
from personsearch.training.losses.oim import OIMLoss
from personsearch.training.losses.regions import SampledRegions
from personsearch.training.losses.triplet import triplet_aided
from personsearch.training.recipes.schema import DenseLosses
from tests.helpers.training_scenes import MadeUpScenes, batch_of, recipe_of

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

NETWORKS = ("oim", "nae", "nae+", "seqnet", "gfn", "alignps", "roi-alignps", "roi-alignps without rpn")


def learner_of(name: str, **changes) -> Learner:
    return build_learner(recipe_of(name, **changes), 4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns(name) -> None:
    learner = learner_of(name)
    torch.manual_seed(0)
    losses = learner(batch_of(learner, MadeUpScenes(2).samples))
    torch.stack(list(losses.values())).sum().backward()
    assert all(loss.shape == () and loss.isfinite() for loss in losses.values())
    assert [key for key, one in learner.named_parameters() if one.grad is None] == []
    assert all(one.grad.isfinite().all() for one in learner.parameters())


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("oim", {"rpn_class", "rpn_box", "class", "box", "oim"}),
        ("seqnet", {"rpn_class", "rpn_box", "first_class", "first_box", "class", "box", "oim"}),
        ("gfn", {"rpn_class", "rpn_box", "first_class", "first_box", "class", "box", "oim", "scenes"}),
        ("alignps", {"dense_class", "dense_box", "dense_centerness", "oim", "triplet"}),
    ],
)
def test_losses_have_names(name, names) -> None:
    learner = learner_of(name)
    assert set(learner(batch_of(learner, MadeUpScenes(2).samples))) == names


def test_one_scene_is_too_few_for_gfn() -> None:
    learner = learner_of("gfn")
    assert "scenes" not in learner(batch_of(learner, MadeUpScenes(1).samples))
    assert "scenes" not in learner_of("gfn", gallery_filter=None)(batch_of(learner, MadeUpScenes(2).samples))


def test_gfn_compares_with_the_scenes_it_remembers() -> None:
    """The loss of two scenes differs by what the memory adds: the same people two scenes earlier."""
    learner = learner_of("gfn")
    assert isinstance(learner, SeqNeXtLearner)
    assert learner.memory is not None
    samples = MadeUpScenes(4).samples
    later = replace(batch_of(learner, samples[2:]), pictures=[2, 3])

    def loss() -> float:
        torch.manual_seed(0)
        return learner(later)["scenes"].item()

    learner(batch_of(learner, samples[:2]))
    assert set(learner.memory.pictures) == {0, 1}
    with_memory = loss()
    learner.memory.pictures.clear()
    without = loss()
    learner.memory.pictures.clear()
    assert loss() == pytest.approx(without, rel=1e-5)
    assert with_memory != pytest.approx(without, rel=1e-2)


def test_losses_of_roi_alignps_are_both_branches_and_the_mutual_term() -> None:
    learner, without = learner_of("roi-alignps"), learner_of("roi-alignps without rpn")
    names = set(learner(batch_of(learner, MadeUpScenes(2).samples)))
    roi = {"roi_class", "roi_box", "roi_oim", "mutual_information"}
    assert names == {"dense_class", "dense_box", "dense_centerness", "oim", "triplet", "rpn_class", "rpn_box"} | roi
    assert set(without(batch_of(without, MadeUpScenes(2).samples))) == names - {"rpn_class", "rpn_box"}


def test_a_detecting_alignps_branch_has_no_identity_losses() -> None:
    learner = learner_of("roi-alignps", branch="roi")
    names = set(learner(batch_of(learner, MadeUpScenes(2).samples)))
    assert not names & {"oim", "triplet", "mutual_information"}
    assert "roi_oim" in names


def test_person_losses_by_hand() -> None:
    positive, size = torch.tensor([True, False]), 7
    regions = SampledRegions(
        [torch.tensor([[0.0, 0.0, 7.0, 7.0]] * 2)], positive, torch.tensor([[0.0, 0.0, 7.0, 7.0], [-1.0] * 4]), positive.long()
    )
    empty = torch.zeros(2, 4)
    logits = {
        "oim": torch.tensor([[0.0, 1.0], [0.0, 3.0]]),
        "nae": torch.tensor([1.0, 3.0]),
        "nae+": torch.tensor([1.0, 3.0])[:, None, None, None].expand(-1, -1, size, size),
    }
    # a person at 1 and background at 3: -log sigmoid(1) and -log(1 - sigmoid(3)), whatever the form of the logits
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(3))) / 2
    for name, given in logits.items():
        head = learner_of(name).network.reid_head
        assert person_loss(head, HeadOutput(given, empty, empty), regions).item() == pytest.approx(expected, rel=1e-5), name


def test_the_triplet_loss_compares_with_the_table_before_the_step() -> None:
    torch.manual_seed(0)
    features, identities = torch.nn.functional.normalize(torch.randn(4, 8)), torch.tensor([0, 1, 1, -1])
    recipe = DenseLosses(triplet={"margin": 2.0}, oim={"queue_size": 2})
    oim = OIMLoss(2, 8, recipe.oim)
    expected = triplet_aided(features, identities, torch.zeros(2, 8), recipe.triplet)
    losses = reid(Named(features, identities), oim, recipe)
    assert oim.table.any()
    assert losses["triplet"].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("name", NETWORKS)
def test_pictures_of_nobody(name) -> None:
    learner = learner_of(name)
    empty = Sample(MadeUpScenes(1)[0].image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    losses = learner(batch_of(learner, [empty, empty]))
    torch.stack(list(losses.values())).sum().backward()
    assert losses["oim"].item() == 0
    assert all(loss.isfinite() for loss in losses.values())


def test_the_memories_know_everyone_after_a_step() -> None:
    learner = learner_of("roi-alignps")
    assert isinstance(learner, ROILearner)
    learner(batch_of(learner, MadeUpScenes(2).samples))
    for oim in (learner.oim, learner.roi_oim):
        torch.testing.assert_close(oim.table.norm(dim=1), torch.ones(4))
        assert oim.queue.any()


def test_seqnets_second_head_learns_from_moved_boxes() -> None:
    learner = learner_of("seqnet")
    batch = batch_of(learner, MadeUpScenes(1).samples)
    pooled: list[list[torch.Tensor]] = []
    learner.network.pool.register_forward_hook(lambda module, inputs, output: pooled.append(inputs[1]))
    torch.manual_seed(0)
    learner(batch)
    first, second = (set(map(tuple, boxes[0].tolist())) for boxes in pooled)
    true = set(map(tuple, batch.boxes[0].tolist()))
    assert first & second <= true
    assert len(second) > len(true)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_saved_opens_as_a_model(name, tmp_path) -> None:
    learner = learner_of(name)
    save_trained(tmp_path / "model", *learner.exported())
    model = open_folder(tmp_path / "model", "cpu")
    sample = MadeUpScenes(1)[0]
    (rows,) = model.embed([model.prepare(sample.image)], [sample.boxes])
    assert rows.shape == (3, model.embedding_dim)


def test_a_seed_gives_the_same_start() -> None:
    first, again, other = learner_of("alignps"), learner_of("alignps"), learner_of("alignps", seed=9)
    name = "network.backbone.conv1.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_building_leaves_the_callers_randomness_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    learner_of("nae")
    assert torch.equal(torch.rand(1), expected)


def test_a_malformed_network_is_an_error() -> None:
    with pytest.raises(ConfigError, match="channelz"):
        learner_of("alignps", channelz=3)


@pytest.mark.parametrize(
    ("backbone", "build"),
    [({"name": "resnet18", "norm": "frozen"}, resnet18), ({"name": "shufflenet", "width": 0.5}, shufflenet_v2_x0_5)],
)
def test_a_classifiers_weights_start_every_stage(backbone, build, tmp_path) -> None:
    torch.manual_seed(0)
    weights = build(weights=None).state_dict()
    save_file({key: one for key, one in weights.items() if "num_batches" not in key}, file := tmp_path / "classifier.safetensors")
    network = learner_of("seqnet", backbone=backbone, backbone_weights=file).network
    last = "layer4" if backbone["name"] == "resnet18" else "stage4"
    inner = {key: one for key, one in weights.items() if key.startswith(last) and "num_batches" not in key}
    assert inner
    for head in (network.first, network.second):
        for key, one in inner.items():
            torch.testing.assert_close(head.res5.state_dict()[f"layer4.{key.removeprefix(last + '.')}"], one)
    first = next(key for key in weights if key.startswith("conv1") and key.endswith("weight"))
    torch.testing.assert_close(network.backbone.state_dict()[first], weights[first])


def test_another_backbones_weights_are_refused(tmp_path) -> None:
    save_file({"conv1.weight": torch.zeros(8, 3, 5, 5)}, file := tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"conv1\.weight has shape \(8, 3, 5, 5\)"):
        learner_of("alignps", backbone_weights=file)
