import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torchvision.models import resnet18

from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.models.reid import crops_of
from personsearch.models.two_step.combined import CombinedModel
from personsearch.training.checkpoint import LOG_FILE, MODEL_FOLDER, STATE_FILE, load_state, save_trained
from personsearch.training.data.dataset import Sample
from personsearch.training.learners.build import build_learner
from personsearch.training.learners.dkd import DKDLearner, with_teacher
from personsearch.training.learners.reid import ReidLearner
from personsearch.training.losses.distillation import pair_loss, probability_loss, triplet_loss
from personsearch.training.measure import search_scores
from personsearch.training.recipes.schema import Recipe
from personsearch.training.run import train
from personsearch.training.trainer import Trainer
from tests.helpers.training_scenes import (
    BACKBONE,
    FEW,
    HEAD,
    HEIGHT,
    OPTIMIZER,
    PROPOSALS,
    QUIET,
    SIZE,
    WIDTH,
    MadeUpScenes,
    batch_of,
    learned_by_heart,
    write_coco,
)

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

SHIFT = {"padding": 4}  # of crops of 64 x 32
CROPS = {"architecture": "reid", "backbone": BACKBONE, "height": 64, "width": 32, "embedding_dim": 64}
STUDENT = SIZE | {"architecture": "dkd", "proposals": PROPOSALS, "embedding_dim": 64}
PEOPLE = 4


def recipe_of(network: dict, losses: dict, **own) -> Recipe:
    augment = {"sizes": [[HEIGHT, WIDTH]], "flip": 0.0}
    name = network["architecture"]
    values = {"name": name, "network": network | {"name": name}, "losses": losses, "optimizer": OPTIMIZER, "augment": augment}
    return Recipe.model_validate(values | {"batch_size": 2} | own)


def reid_recipe(*, network: dict | None = None, epochs: int = 1, **losses) -> Recipe:
    return recipe_of(CROPS | (network or {}), {"shift": SHIFT} | losses, epochs=epochs)


def dkd_recipe(teacher: Path | None, *, kd: dict | None = None, network: dict | None = None, epochs: int = 1, **losses) -> Recipe:
    distilling = {"distillation": {"shift": SHIFT} | (kd or {}), "teacher": None if teacher is None else str(teacher)}
    return recipe_of(STUDENT | (network or {}), {"proposals": FEW, "head": HEAD} | distilling | losses, epochs=epochs)


def crops_learner(**changes) -> ReidLearner:
    learner = build_learner(reid_recipe(**changes), PEOPLE)
    assert isinstance(learner, ReidLearner)
    return learner


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """A crop network's folder, of random weights."""
    return saved_teacher(tmp_path_factory.mktemp("teacher"))


def saved_teacher(folder: Path, people: int = PEOPLE, **network) -> Path:
    save_trained(folder / "model", *build_learner(reid_recipe(network=network), people).exported())
    return folder / "model"


def student(teacher: Path | None, **changes) -> DKDLearner:
    learner = build_learner(dkd_recipe(teacher, **changes), PEOPLE)
    assert isinstance(learner, DKDLearner)
    return learner


def run(learner, samples: list[Sample] | None = None) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return learner(batch_of(learner, MadeUpScenes(2).samples if samples is None else samples))


def no_people() -> Sample:
    return Sample(MadeUpScenes(1)[0].image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def gone_without(learner) -> list[str]:
    """Parameters that learn nothing, but for the shifts of BNNeck, which stay 0."""
    return [name for name, one in learner.named_parameters() if one.grad is None and not name.endswith("neck.0.bias")]


@pytest.mark.parametrize("losses", [{}, {"shift": None}, {"erasing": None}])
@pytest.mark.parametrize("network", [{}, {"bnneck": False}])
def test_every_part_of_a_teacher_learns(network, losses) -> None:
    """R-2 and R-1, and Table 6's teachers without random erasing and without BNNeck."""
    learner = crops_learner(network=network, **losses)
    (loss,) = run(learner).values()
    assert loss.item() == pytest.approx(np.log(PEOPLE), abs=0.05)  # the classifier starts undecided
    loss.backward()
    assert gone_without(learner) == []
    assert learner.config.identities == PEOPLE


def test_a_teachers_crops_by_recipe(monkeypatch) -> None:
    """ISA shows the scene around a moved box, R-1 zeros; erasing is on top of either."""
    seen: dict[str, torch.Tensor] = {}
    box = [torch.tensor([[40.0, 20.0, 72.0, 84.0]])]
    pixels = torch.ones(1, 3, HEIGHT, WIDTH)
    for name, losses in {"isa": {}, "padding": {"shift": None}, "erased": {"erasing": {"share": 1}}}.items():
        torch.manual_seed(1)
        seen[name] = crops_learner(**{"erasing": None} | losses)._crops(pixels, box)
    assert seen["isa"].unique().tolist() == [1]
    assert seen["padding"].unique().tolist() == [0, 1]
    assert (seen["padding"][0, 0] == 0).all(dim=0).sum() + (seen["padding"][0, 0] == 0).all(dim=1).sum() > 0  # whole rows or columns
    assert seen["erased"].unique().tolist() == [0, 1]
    assert not (seen["erased"][0, 0] == 0).all(dim=1).any()


def test_unlabelled_people_teach_nothing() -> None:
    learner = crops_learner(erasing=None)
    sample = MadeUpScenes(2)[1]
    assert (sample.identities == -1).sum() == 1
    named = sample.identities >= 0
    without = Sample(sample.image, sample.boxes[named], sample.identities[named])
    assert run(learner, [sample])["reid"].item() == run(learner, [without])["reid"].item()


@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_of_hardly_anybody_leaves_a_teacher_as_it_is(count) -> None:
    sample = MadeUpScenes(1)[0]
    few = Sample(sample.image, sample.boxes[:count], sample.identities[:count])
    learner = crops_learner()
    (loss,) = run(learner, [few]).values()
    loss.backward()
    assert loss.item() == 0
    assert all(not one.grad.any() for one in learner.parameters() if one.grad is not None)


def test_a_teacher_is_measured_at_the_true_boxes(tmp_path) -> None:
    """[GT; R]; at the people that it finds, whole pictures, no person is found."""
    data, recipe = MadeUpScenes(4), reid_recipe()
    learning = Trainer(recipe, build_learner(recipe, PEOPLE), data, tmp_path)
    assert search_scores(learning.model(), data)["recall"] == 0
    found = search_scores(learning.model(), data, true_boxes=True)
    assert (found["recall"], found["ap"]) == (1, 1)
    assert found["top1"] > 0.5  # their colours tell them apart from the start
    folder = train(recipe, data, tmp_path / "out", replace(QUIET, test_data=data))
    last = json.loads((tmp_path / "out" / LOG_FILE).read_text().splitlines()[-1])
    assert (last["recall"], last["queries"]) == (1, 12)
    assert open_folder(folder, "cpu").name == "reid"


def test_every_part_of_a_student_learns(teacher) -> None:
    learner = student(teacher)
    losses = run(learner)
    assert set(losses) == {"rpn_class", "rpn_box", "class", "box", "reid", "kd_probability", "kd_pairs", "kd_triplets"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(loss.shape == () and loss.isfinite() for loss in losses.values())
    assert gone_without(learner) == []


@pytest.mark.parametrize(
    ("kd", "names"),
    [
        ({"probability": 0, "triplets": 0}, {"kd_pairs"}),  # Ours-4
        ({"probability": 0, "pairs": 0}, {"kd_triplets"}),  # Ours-5
        ({"probability": 0}, {"kd_pairs", "kd_triplets"}),  # Ours-6
        ({"pairs": 0, "triplets": 0, "shift": None}, {"kd_probability"}),  # Ours-1, Ours-2
    ],
)
def test_terms_by_recipe(kd, names, teacher) -> None:
    learner = student(teacher, kd=kd)
    looks = []
    learner.network.pool.register_forward_hook(lambda module, inputs, output: looks.append(len(output)))
    assert {name for name in run(learner) if name.startswith("kd")} == names
    assert len(looks) == 2  # at the proposals and the true boxes; shifted ones are Eq. 6's alone


def test_what_each_term_teaches(teacher) -> None:
    """All teach the re-id head and the backbone; the classifier learns from probabilities alone, the detection head from none."""
    learner = student(teacher)
    losses = run(learner)
    parts = [learner.network.reid.res5.layer4[0].conv1.weight, learner.network.backbone.conv1.weight, learner.classifier.weight]
    parts.append(learner.network.detection.res5.layer4[0].conv1.weight)
    for name in ("reid", "kd_probability", "kd_pairs", "kd_triplets"):
        grads = torch.autograd.grad(losses[name], parts, retain_graph=True, allow_unused=True)
        reached = [one is not None and bool(one.any()) for one in grads]
        assert reached == [True, True, name in ("reid", "kd_probability"), False], name


def test_the_baseline_and_the_detector_have_no_teacher() -> None:
    detection = {"rpn_class", "rpn_box", "class", "box"}
    assert set(run(student(None, distillation=None))) == detection | {"reid"}  # Ours-0
    assert set(run(student(None, reid_weight=0))) == detection  # D


def test_the_whole_objective_by_the_equations(teacher) -> None:
    """Eq. 5 with Eq. 6, of what both networks say at the same boxes; the learner and the teacher are asked one by one."""
    kd = {"probability": 0.5, "pairs": 3.0, "triplets": 2.0, "margin": 0.7, "shift": SHIFT}
    learner: Any = student(teacher, kd=kd, reid_weight=0.2).eval()
    batch = batch_of(learner, MadeUpScenes(2).samples)
    pooled: list[list[torch.Tensor]] = []
    learner.network.pool.register_forward_hook(lambda module, inputs, output: pooled.append(inputs[1]))
    torch.manual_seed(0)
    losses = learner(batch)
    _, true_boxes, moved = pooled
    names = torch.cat([one[one >= 0] for one in batch.identities])
    said = []
    for boxes in (true_boxes, moved):
        features = learner.network.reid(learner.network.pool(learner.network(batch.scenes.pixels), boxes)).features
        teaching = learner.teacher.network.features(crops_of(batch.scenes.pixels, boxes, (64, 32)))
        said.append((features, learner.classifier(features), teaching, learner.teacher.network.classifier(teaching)))
    (ours, logits, theirs, teacher_logits), (_, moved_logits, _, moved_teacher) = said
    apart = probability_loss(logits, teacher_logits, "printed") + probability_loss(moved_logits, moved_teacher, "printed")
    ours, theirs = F.normalize(ours), F.normalize(theirs)
    expected = {
        "reid": 0.2 * F.cross_entropy(logits, names),
        "kd_probability": 0.2 * 0.5 * apart,
        "kd_pairs": 0.2 * 3 * pair_loss(ours, theirs),
        "kd_triplets": 0.2 * 2 * triplet_loss(ours, theirs, 0.7),
    }
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-4), name
    assert losses["kd_probability"].item() != pytest.approx(0.2 * 0.5 * 2 * probability_loss(logits, teacher_logits, "printed").item())


def test_student_and_teacher_look_at_the_same_moved_boxes(teacher) -> None:
    """FSA: of labelled people alone, once where they are and once shifted."""
    learner: Any = student(teacher)
    pooled, cropped = [], []
    learner.network.pool.register_forward_hook(lambda module, inputs, output: pooled.append(inputs[1]))
    teach = learner.teacher
    learner.teacher = lambda pixels, boxes: cropped.append(boxes) or teach(pixels, boxes)
    learner.teacher.size = teach.size
    samples = MadeUpScenes(2).samples
    run(learner, samples)
    assert len(pooled) == 3  # proposals, true boxes, shifted boxes
    for view in (0, 1):
        for mine, its, sample in zip(pooled[1 + view], cropped[view], samples, strict=True):
            true = torch.from_numpy(sample.boxes[sample.identities >= 0])
            assert torch.equal(mine, its)
            assert torch.equal(mine, true) == (view == 0)
            assert (mine - true).abs().max() <= 5.5  # half of min(2 x 84 x 4 / 64, 40)


@pytest.mark.slow
def test_a_teacher_never_changes_and_is_in_no_file(teacher, tmp_path) -> None:
    data, recipe = MadeUpScenes(2), dkd_recipe(teacher)
    learning = Trainer(recipe, build_learner(recipe, PEOPLE), data, tmp_path)
    network = learning.learner.teacher.network
    before = {name: one.clone() for name, one in network.state_dict().items()}
    learning.run()
    assert not network.training
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    assert all(one.grad is None for one in network.parameters())
    assert not any("teacher" in name for name in load_state(tmp_path)["learner"])
    model = open_folder(tmp_path / MODEL_FOLDER, "cpu")  # strict: the student alone
    assert model.name == "dkd"
    assert "teacher" not in (tmp_path / MODEL_FOLDER / "config.json").read_text()


@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_of_hardly_anybody_teaches_detection_alone(count, teacher) -> None:
    sample = MadeUpScenes(1)[0]
    few = Sample(sample.image, sample.boxes[:count], sample.identities[:count])
    learner = student(teacher)
    losses = run(learner, [few, no_people()])
    assert set(losses) == {"rpn_class", "rpn_box", "class", "box"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(loss.isfinite() for loss in losses.values())


def test_a_teacher_must_be_named_and_fit(teacher, tmp_path) -> None:
    with pytest.raises(ConfigError, match="--teacher FOLDER"):
        student(None)
    with pytest.raises(ConfigError, match="does not learn from a teacher"):
        student(teacher, distillation=None)
    other = saved_teacher(tmp_path / "other", people=7)
    with pytest.raises(ConfigError, match="tells 7 identities apart, the data set has 4"):
        student(other)
    student(other, kd={"probability": 0})
    small = saved_teacher(tmp_path / "small", embedding_dim=16)
    with pytest.raises(ConfigError, match="embedding_dim is 16, the student's 64"):
        student(small)
    student(small, kd={"triplets": 0})
    with pytest.raises(ConfigError, match="not a model folder"):
        student(tmp_path)
    (small / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="missing"):
        student(small)


def test_only_recipes_that_learn_from_a_teacher_take_one(teacher) -> None:
    assert with_teacher(dkd_recipe(None), teacher).losses.teacher == teacher
    with pytest.raises(ConfigError, match="reid does not learn from a teacher"):
        with_teacher(reid_recipe(), teacher)


def test_teacher_then_student_on_the_command_line(tmp_path) -> None:
    from typer.testing import CliRunner

    from personsearch.cli import app as cli

    data = write_coco(tmp_path / "data")
    for name, recipe in {"reid": reid_recipe(), "dkd": dkd_recipe(None)}.items():
        (tmp_path / f"{name}.json").write_text(recipe.model_dump_json())
    teacher = tmp_path / "teacher" / MODEL_FOLDER
    for name, out, more in (("reid", teacher.parent, []), ("dkd", tmp_path / "student", ["--teacher", str(teacher)])):
        arguments = ["train", str(tmp_path / f"{name}.json"), str(data), str(out), "--device", "cpu", *more]
        result = CliRunner().invoke(cli.app, arguments)
        assert json.loads(result.stdout) == {"folder": str(out / MODEL_FOLDER)}, result.exception
    detector, described = (open_folder(folder, "cpu") for folder in (tmp_path / "student" / MODEL_FOLDER, teacher))
    both, scene = CombinedModel(detector, described), MadeUpScenes(1)[0]  # [D; R]
    assert both.embed([both.prepare(scene.image)], [scene.boxes])[0].shape == (3, 64)


def test_bfloat16(teacher, tmp_path) -> None:
    totals = []
    for precision in ("float32", "bfloat16"):
        recipe = dkd_recipe(teacher).model_copy(update={"precision": precision})
        Trainer(recipe, build_learner(recipe, PEOPLE), MadeUpScenes(2), tmp_path / precision).run()
        totals.append(json.loads((tmp_path / precision / LOG_FILE).read_text().splitlines()[0])["loss"])
    assert totals[0] != totals[1]
    assert totals[0] == pytest.approx(totals[1], rel=0.05)  # bfloat16 has 8 bits


def test_a_classifiers_weights_start_every_last_stage(teacher, tmp_path) -> None:
    torch.manual_seed(0)
    weights = {key: one for key, one in resnet18(weights=None).state_dict().items() if "num_batches" not in key}
    save_file(weights, file := tmp_path / "classifier.safetensors")
    whole = {"backbone": {"name": "resnet18"}}
    crops = reid_recipe(network=whole).model_copy(update={"backbone_weights": file})
    scenes = dkd_recipe(None, network=whole, distillation=None).model_copy(update={"backbone_weights": file})
    network = build_learner(scenes, PEOPLE).network
    for part in (build_learner(crops, PEOPLE).network.backbone, network.detection.res5, network.reid.res5):
        for key in ("layer4.0.conv1.weight", "layer4.1.bn2.bias"):
            assert torch.equal(part.state_dict()[key], weights[key])


@pytest.mark.slow
def test_a_resumed_student_gives_the_same_numbers(teacher, tmp_path) -> None:
    data, recipe = MadeUpScenes(4), dkd_recipe(teacher, epochs=2)
    for folder, stops in (("whole", (4,)), ("parts", (3, 4))):
        for number, stop in enumerate(stops):
            learning = Trainer(recipe, build_learner(recipe, PEOPLE), data, tmp_path / folder)
            if number:
                learning.resume()
            learning.run(until=stop)
    whole, parts = ((tmp_path / folder / MODEL_FOLDER / "model.safetensors").read_bytes() for folder in ("whole", "parts"))
    assert whole == parts
    assert (tmp_path / "parts" / STATE_FILE).exists()


@pytest.mark.slow
def test_a_student_learns_eight_scenes_from_its_teacher(tmp_path) -> None:
    # as many epochs as it takes whatever the seed (1, 2 and 3 were tried)
    data = MadeUpScenes(8)
    scores = partial(search_scores, dataset=data)
    first = reid_recipe(epochs=15)
    teaching = Trainer(first, build_learner(first, PEOPLE), data, tmp_path / "teacher")
    teaching.run()
    log = [json.loads(line) for line in (tmp_path / "teacher" / LOG_FILE).read_text().splitlines()]
    assert log[0]["reid"] > 1.2  # log 4
    assert log[-1]["reid"] < 0.3, log[-1]
    assert scores(teaching.model(), true_boxes=True)["top1"] == 1
    recipe = dkd_recipe(tmp_path / "teacher" / MODEL_FOLDER, epochs=30)
    learning = Trainer(recipe, build_learner(recipe, PEOPLE), data, tmp_path / "student")
    assert scores(learning.model())["top1"] < 0.5
    final = learned_by_heart(learning, scores)
    assert final["queries"] == 24
    assert final["top1"] == 1, final
    assert final["recall"] > 0.9, final
    log = [json.loads(line) for line in (tmp_path / "student" / LOG_FILE).read_text().splitlines()]
    for name in ("kd_probability", "kd_pairs", "kd_triplets"):
        assert log[-1][name] < log[0][name], name
    both = CombinedModel(learning.model(), teaching.model())  # [D; R-2]
    assert scores(both)["top1"] == 1
