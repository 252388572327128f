import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

from personsearch import PersonSearcher
from personsearch.cli import app as cli
from personsearch.errors import ConfigError
from personsearch.models import open_folder
from personsearch.models.trident import TridentOutput
from personsearch.training.checkpoint import LOG_FILE, MODEL_FOLDER, save_trained
from personsearch.training.data.dataset import Sample
from personsearch.training.learners import trident as trident_learner
from personsearch.training.learners.build import build_learner
from personsearch.training.learners.trident import TridentLearner
from personsearch.training.losses.agwf import AGWFRecipe, part_loss
from personsearch.training.losses.regions import SampledRegions
from personsearch.training.optimize import rate_factor
from personsearch.training.recipes.catalogue import TRIDENT_ABLATIONS, recipes
from personsearch.training.recipes.schema import Recipe, TridentLosses
from personsearch.training.run import train
from tests.helpers.training_scenes import QUIET, MadeUpScenes, batch_of, recipe_of, write_coco

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

ALL = {"rpn_class", "rpn_box", "class", "box", "identity", "binary", "unlabelled", "part"}


def tiny(recipe: Recipe, **changes) -> Recipe:
    """A recipe of the catalogue at the size of the made-up scenes, with its own switches."""
    small = recipe_of("trident", epochs=1, batch_size=2, **changes)
    reid = recipe.losses.reid.model_copy(update={"queue_size": 8})
    network = small.network | {key: value for key, value in recipe.network.items() if key not in ("backbone", "name")}
    return small.model_copy(update={"name": recipe.name, "network": network, "losses": small.losses.model_copy(update={"reid": reid})})


def learner_of(recipe: Recipe | None = None, **changes) -> TridentLearner:
    learner = build_learner(tiny(recipe or recipes()["trident-prw"], **changes), 4)
    assert isinstance(learner, TridentLearner)
    return learner


def learn(learner: TridentLearner, samples: list[Sample]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return learner(batch_of(learner, samples))


def test_every_parameter_learns() -> None:
    learner = learner_of()
    learn(learner, MadeUpScenes(2).samples)  # an empty memory is equally unlike everybody, and tells the encoders nothing
    losses = learn(learner, MadeUpScenes(2).samples)
    torch.stack(list(losses.values())).sum().backward()
    assert set(losses) == ALL
    assert all(loss.shape == () and loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
    assert [key for key, one in learner.named_parameters() if one.grad is None or not one.grad.any()] == []
    assert all(one.grad.isfinite().all() for one in learner.parameters())


def test_each_branch_learns_from_its_own_losses() -> None:
    """Alpha is a factor, so the foreground classifiers learn from the detection alone."""
    learner = learner_of()
    losses = learn(learner, MadeUpScenes(2).samples)
    branches = {"classes.0.weight": "class", "classes.1.weight": "class", "boxes.weight": "box", "parts.weight": "part"}
    for name, own in branches.items():
        weight = learner.network.head.get_parameter(name)
        assert {key for key, loss in losses.items() if reaches(loss, weight)} == {own}
    encoder = learner.network.head.get_parameter("embedding.projectors.1.0.weight")
    assert {key for key, loss in losses.items() if reaches(loss, encoder)} == {"identity", "binary", "unlabelled"}


def reaches(loss: torch.Tensor, weight: torch.Tensor) -> bool:
    return torch.autograd.grad(loss, weight, retain_graph=True, allow_unused=True)[0] is not None


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("agwf", set()),
        ("parts", {"part"}),
        ("agwf-and-parts", {"part"}),
        ("binary", {"binary"}),
        ("unlabelled", {"unlabelled"}),
        ("binary-and-unlabelled", {"binary", "unlabelled"}),
    ],
)
def test_ablations_leave_out_what_they_say(part, missing) -> None:
    recipe = recipes()[f"trident-prw-without-{part}"]
    assert set(learn(learner_of(recipe), MadeUpScenes(1).samples)) == ALL - missing
    assert recipe.losses.reid.adaptive == ("agwf" not in part)


def test_every_ablation_has_a_recipe_of_each_kind() -> None:
    names = {f"trident-prw-without-{part}{kind}" for part in TRIDENT_ABLATIONS for kind in ("", "-scratch")}
    names |= {f"trident-{data}{kind}" for data in ("cuhk", "prw") for kind in ("", "-scratch", "-with-norm", "-with-norm-scratch")}
    assert {name for name in recipes() if name.startswith("trident")} == names
    whole = recipes()["trident-prw"]
    for part in TRIDENT_ABLATIONS:
        other = recipes()[f"trident-prw-without-{part}"]
        assert (other.optimizer, other.epochs, other.losses.head) == (whole.optimizer, whole.epochs, whole.losses.head)
        assert (other.losses.reid, other.network.get("partitions", 6)) != (whole.losses.reid, 6)


def test_the_recipe_is_the_papers() -> None:
    cuhk, prw = recipes()["trident-cuhk"], recipes()["trident-prw"]
    assert isinstance(prw.losses, TridentLosses)
    assert (cuhk.epochs, prw.epochs, prw.batch_size) == (14, 10, 4)
    assert (cuhk.losses.reid.queue_size, prw.losses.reid.queue_size) == (5000, 500)
    reid, rates = prw.losses.reid, prw.optimizer
    assert (reid.identity_temperature, reid.binary_temperature, reid.part_temperature) == (pytest.approx(1 / 30), 2, 0.1)
    assert (reid.unlabelled_weight, reid.full_similarity, reid.adaptive, reid.background) == (0.1, 1, True, True)
    assert (reid.part_values, reid.confidence_gradient, reid.mean_gradient) == ("probability", False, False)  # our choices
    assert (rates.name, rates.learning_rate, rates.momentum, rates.weight_decay, rates.biases) == ("sgd", 3e-3, 0.9, 5e-4, "none")
    factors = [rate_factor(step, 10, 10, rates) for step in (0, 5, 10, 79, 80)]  # ten steps an epoch
    assert factors == pytest.approx([0, 0.5, 1, 1, 0.1])


REGIONS = SampledRegions(
    [torch.tensor([[10.0, 10.0, 40.0, 90.0]] * 4)],
    torch.tensor([True, True, True, False]),
    torch.tensor([[10.0, 10.0, 40.0, 90.0]] * 3 + [[-1.0] * 4]),
    torch.tensor([0, 1, -1, -1]),
)


@pytest.mark.parametrize("adaptive", [True, False])
def test_losses_by_hand_of_a_head_whose_word_is_known(adaptive, monkeypatch) -> None:
    """Confidence 1/2, 3/4, 1/4 and 1/2 weighs identity, binary, unlabelled and part, and not the detection."""
    learner = learner_of(None if adaptive else recipes()["trident-prw-without-agwf"])
    torch.manual_seed(0)
    logits = torch.tensor([0.5, 0.75, 0.25, 0.5]).logit()
    rows, parts = F.normalize(torch.randn(4, 32)), torch.randn(4, 6, 7)
    seen = TridentOutput(torch.stack([torch.zeros(4), logits], dim=1), torch.zeros(4, 4), rows, parts)
    learner.reid.memory.table.copy_(F.normalize(torch.randn(4, 32)))
    monkeypatch.setattr(trident_learner, "sample_regions", lambda *_: REGIONS)
    monkeypatch.setattr(learner.network.head, "forward", lambda regions: seen)
    similarities, alpha = learner.reid.memory.logits(rows), torch.tensor([0.5, 0.75, 0.25, 0.5]) if adaptive else torch.ones(4)
    losses = learn(learner, MadeUpScenes(1).samples)
    scaled = 30 * alpha[:, None] * similarities
    expected = {
        "class": -(torch.tensor([0.5, 0.75, 0.25, 0.5]).log().mean()),
        "identity": -(scaled[0].log_softmax(0)[0] + scaled[1].log_softmax(0)[1]) / 2,
        "binary": sum((1 + ((1 - alpha[i] * similarities[i, i]) / 2).exp()).log() for i in (0, 1)) / 2,
        "part": part_loss(parts, REGIONS.positive, alpha, AGWFRecipe()),
    }
    mean = (similarities[0, 0] + similarities[1, 1]) / 2
    expected["unlabelled"] = 0.1 * (1 + (30 * alpha[2] * (similarities[2, :4] - mean)).exp().sum()).log()
    assert losses["box"] == 0
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, msg=name, rtol=1e-4, atol=1e-5)


def test_pictures_of_nobody() -> None:
    learner = learner_of()
    empty = Sample(MadeUpScenes(1)[0].image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    losses = learn(learner, [empty, empty])
    torch.stack(list(losses.values())).sum().backward()
    assert [losses[name].item() for name in ("identity", "binary", "unlabelled", "box")] == [0] * 4
    assert all(loss.isfinite() for loss in losses.values())
    assert all(one.grad is None or one.grad.isfinite().all() for one in learner.parameters())
    assert learner.reid.memory.queue.any()  # background
    assert not learner.reid.memory.table.any()


def test_the_memory_knows_everyone_after_a_step() -> None:
    learner = learner_of()
    learn(learner, MadeUpScenes(2).samples)
    torch.testing.assert_close(learner.reid.memory.table.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(learner.reid.memory.queue.norm(dim=1), torch.ones(8))


@pytest.mark.parametrize("partitions", [6, 3, None])
def test_a_saved_model_has_no_part_classification(partitions, tmp_path) -> None:
    learner = build_learner(recipe_of("trident", partitions=partitions), 4)
    learn(learner, MadeUpScenes(1).samples)  # batch norms as after a step
    save_trained(tmp_path / "model", *learner.exported())
    model = open_folder(tmp_path / "model", "cpu")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["partitions"] is None
    sample, network = MadeUpScenes(1)[0], learner.network.eval()
    (rows,) = model.embed([model.prepare(sample.image)], [sample.boxes])
    batch = batch_of(learner, [sample])
    with torch.no_grad():
        (expected,) = network.embed(batch.scenes, [torch.from_numpy(sample.boxes)])
    np.testing.assert_allclose(rows, expected, atol=1e-4)


def test_a_malformed_network_is_an_error() -> None:
    with pytest.raises(ConfigError, match="partitions"):
        build_learner(recipe_of("trident", partitions=7), 4)
    with pytest.raises(ValueError, match="adaptve"):
        Recipe(name="x", network={"architecture": "trident"}, losses={"reid": {"adaptve": False}})


def test_train_from_python_and_from_the_command_line(tmp_path) -> None:
    recipe, data = tiny(recipes()["trident-prw-scratch"]), write_coco(tmp_path / "data")
    trained = train(recipe, data, tmp_path / "python", QUIET)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    out = tmp_path / "shell"
    result = CliRunner().invoke(cli.app, ["train", str(tmp_path / "recipe.json"), str(data), str(out), "--device", "cpu"])
    assert json.loads(result.stdout) == {"folder": str(out / MODEL_FOLDER)}
    searcher = PersonSearcher.from_pretrained(str(trained), device="cpu")
    assert searcher.model.embedding_dim == 32
    # the same recipe gives the same model; its log names the losses
    assert (trained / "model.safetensors").read_bytes() == (out / MODEL_FOLDER / "model.safetensors").read_bytes()
    assert set(json.loads((out / LOG_FILE).read_text().splitlines()[0])) >= ALL
