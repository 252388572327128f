import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from personsearch import PersonSearcher
from personsearch.cli import app as cli
from personsearch.errors import ConfigError, DataError, TrainingError
from personsearch.models.config import BackboneConfig
from personsearch.models.parts.resnet import build_backbone
from personsearch.options import parse
from personsearch.training.checkpoint import BOARD_FOLDER, LOG_FILE, MODEL_FOLDER, STATE_FILE, load_state
from personsearch.training.data.dataset import Sample
from personsearch.training.learners.build import build_learner
from personsearch.training.measure import search_scores
from personsearch.training.run import train
from personsearch.training.trainer import Trainer
from tests.helpers.training_scenes import QUIET, MadeUpScenes, learned_by_heart, recipe_of, write_coco
from tests.helpers.training_state import assert_same

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def trainer(out: Path, name: str = "nae", pictures: int = 4, options: dict | None = None, **changes) -> Trainer:
    data = MadeUpScenes(pictures)
    recipe = recipe_of(name, **{"epochs": 2, "batch_size": 2} | changes)
    return Trainer(recipe, build_learner(recipe, data.identities), data, out, **options or {})


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / LOG_FILE).read_text().splitlines()]


def without_times(out: Path) -> list[dict[str, float]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines(out)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a whole training of a network, measured or not: one for all tests that compare another with it."""

    @cache
    def folder(name: str, measured: bool = False) -> Path:
        out = tmp_path_factory.mktemp("uninterrupted") / "out"
        trainer(out, name, options={"evaluate": Evaluation()} if measured else {}).run()
        return out

    return folder


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "stop"), [("nae", 3), *(pytest.param(name, stop, marks=SLOW) for name in ("seqnet", "gfn", "roi-alignps") for stop in (1, 2))]
)
def test_a_resumed_training_gives_the_same_numbers(name, stop, uninterrupted, tmp_path) -> None:
    whole, parts = uninterrupted(name), tmp_path / "parts"
    trainer(parts, name).run(until=stop)
    again = trainer(parts, name)
    again.resume()
    assert again.step == stop
    again.run()
    assert_same(load_state(whole), load_state(parts))
    assert without_times(whole) == without_times(parts)
    assert (whole / MODEL_FOLDER / "model.safetensors").read_bytes() == (parts / MODEL_FOLDER / "model.safetensors").read_bytes()


def test_without_its_memory_a_resumed_training_would_differ(uninterrupted, tmp_path) -> None:
    whole, parts = uninterrupted("nae"), tmp_path / "parts"
    trainer(parts).run(until=2)
    again = trainer(parts)
    again.resume()
    again.learner.oim.table.zero_()
    again.run()
    assert without_times(whole)[:2] == without_times(parts)[:2]
    assert without_times(whole)[2] != without_times(parts)[2]


def test_a_crash_between_two_states_is_made_up_for(uninterrupted, tmp_path) -> None:
    whole, crashed = uninterrupted("nae"), tmp_path / "crashed"
    first = trainer(crashed, options={"save_every": 1})
    first.run(until=1)
    shutil.copy(crashed / STATE_FILE, tmp_path / "kept")
    first.run(until=3)
    (tmp_path / "kept").replace(crashed / STATE_FILE)  # as if steps 2 and 3 had been logged but not saved
    with (crashed / LOG_FILE).open("a") as log:
        log.write('{"step": 4, "lo')  # and the next line cut off
    again = trainer(crashed)
    again.resume()
    again.run()
    assert without_times(whole) == without_times(crashed)


class Killed(BaseException):
    """As good as a signal: nothing catches it."""


class Evaluation:
    """Measures the sum of a weight; killed in a measurement, counted from 1, or never."""

    def __init__(self, killed_in: int | None = None) -> None:
        self.killed_in, self.count = killed_in, 0

    def __call__(self, model) -> dict[str, float]:
        self.count += 1
        if self.count == self.killed_in:
            raise Killed
        return {"top1": float(model.network.head.boxes[0].weight.detach().double().sum())}


@pytest.mark.parametrize(("killed_in", "save_every"), [(1, None), (1, 1), (2, 2)])
def test_a_measurement_that_was_cut_off_is_made_up_for(uninterrupted, tmp_path, killed_in, save_every) -> None:
    """Two steps an epoch: a state of every step, or of every second, is there when the measurement begins."""
    whole, killed, options = uninterrupted("nae", measured=True), tmp_path / "killed", {"save_every": save_every}
    with pytest.raises(Killed):
        trainer(killed, options={"evaluate": Evaluation(killed_in), **options}).run()
    assert sum("top1" in line for line in lines(killed)) == killed_in - 1
    again = trainer(killed, options={"evaluate": (left := Evaluation()), **options})
    again.resume()
    assert again.step == 2 * killed_in  # the epoch itself is not trained again
    again.run()
    assert without_times(whole) == without_times(killed)
    assert [line["step"] for line in lines(killed)] == [1, 2, 2, 3, 4, 4]
    assert left.count == 3 - killed_in


def test_what_was_measured_is_not_measured_again(tmp_path) -> None:
    options = {"evaluate": Evaluation()}
    trainer(tmp_path, options=options).run()
    before = lines(tmp_path)
    again = trainer(tmp_path, options={"evaluate": (none := Evaluation())})
    again.resume()
    again.run()
    assert none.count == 0
    assert lines(tmp_path) == before


@pytest.mark.slow
def test_only_the_epochs_that_are_due_are_measured_after_a_break(tmp_path) -> None:
    for evaluation in (first := Evaluation(), second := Evaluation()):
        one = trainer(tmp_path, options={"evaluate": evaluation})
        one.recipe = one.recipe.model_copy(update={"evaluate_every": 2})
        if evaluation is second:
            one.resume()
        one.run(until=2 if evaluation is first else None)
    assert (first.count, second.count) == (0, 1)
    assert [line["step"] for line in lines(tmp_path) if "top1" in line] == [4]


def test_the_callers_randomness_is_left_alone(tmp_path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    trainer(tmp_path, epochs=1).run()
    assert torch.equal(torch.rand(1), expected)


def test_the_log_can_be_plotted(tmp_path) -> None:
    trainer(tmp_path, options={"evaluate": lambda model: {"top1": 0.5}}).run()
    steps = [line for line in lines(tmp_path) if "loss" in line]
    assert [(line["step"], line["epoch"]) for line in steps] == [(1, 0), (2, 0), (3, 1), (4, 1)]
    for line in steps:
        parts = [line[name] for name in ("rpn_class", "rpn_box", "class", "box", "oim")]
        assert line["loss"] == pytest.approx(sum(parts))
    assert [line for line in lines(tmp_path) if "top1" in line] == [
        {"step": 2, "epoch": 0, "top1": 0.5},
        {"step": 4, "epoch": 1, "top1": 0.5},
    ]


def test_accumulated_batches_are_one_step(tmp_path) -> None:
    small = trainer(tmp_path, pictures=5, accumulate=2, epochs=1)
    assert small.steps_per_epoch == 2
    small.run()
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


def test_accumulated_gradients_are_the_mean_of_the_batches(tmp_path) -> None:
    one = trainer(tmp_path, "alignps", pictures=2, batch_size=1, accumulate=2, optimizer={"learning_rate": 0.01})
    one.learner.eval()
    one.learner.train = lambda mode=True: one.learner  # neither memory nor batch norms change between the batches
    (batches,) = one._groups(0)
    weight = one.learner.network.neck.output["p3"].weight
    expected = torch.zeros_like(weight)
    for batch in batches:
        expected += torch.autograd.grad(torch.stack(list(one.learner(batch).values())).sum(), weight)[0] / 2
    one._learn(batches)
    torch.testing.assert_close(weight.grad, expected)


@pytest.mark.parametrize("name", ["nae", pytest.param("roi-alignps", marks=SLOW)])
def test_bfloat16(name, tmp_path) -> None:
    exact, mixed = tmp_path / "exact", tmp_path / "mixed"
    trainer(exact, name, epochs=1).run()
    trainer(mixed, name, epochs=1, precision="bfloat16").run()
    a, b = lines(exact)[0]["loss"], lines(mixed)[0]["loss"]
    assert a != b
    assert a == pytest.approx(b, rel=0.05)  # bfloat16 has 8 bits


def test_training_changes_the_network_and_the_model_folder_is_it(tmp_path) -> None:
    one = trainer(tmp_path, "alignps", epochs=1)
    before = {name: tensor.clone() for name, tensor in one.learner.network.state_dict().items()}
    one.run()
    assert any(not torch.equal(tensor, before[name]) for name, tensor in one.learner.network.state_dict().items())
    searcher = PersonSearcher.from_pretrained(str(tmp_path / MODEL_FOLDER), device="cpu")
    sample = MadeUpScenes(1)[0]
    (expected,) = one.model().detect([one.model().prepare(sample.image)])
    assert searcher.detect(sample.image, min_score=0).boxes.tolist() == expected.boxes.tolist()


def test_a_loss_that_is_no_number_stops_the_training(tmp_path) -> None:
    one = trainer(tmp_path)
    one.learner.network.head.boxes[0].weight.data.fill_(torch.nan)
    with pytest.raises(TrainingError, match="step 1: box is nan"):
        one.run()


def test_resuming_refuses_what_is_not_its_own(tmp_path) -> None:
    trainer(tmp_path, epochs=1).run()
    with pytest.raises(ConfigError, match="another recipe"):
        trainer(tmp_path, epochs=3).resume()
    with pytest.raises(ConfigError, match="other data"):
        trainer(tmp_path, epochs=1, pictures=5).resume()
    with pytest.raises(DataError, match="to resume; start without"):
        trainer(tmp_path / "nothing").resume()
    (tmp_path / STATE_FILE).write_bytes(b"PK damaged")
    with pytest.raises(DataError, match="damaged"):
        trainer(tmp_path, epochs=1).resume()


def test_a_state_with_code_in_it_is_not_run(tmp_path) -> None:
    class Code:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"step": 1, "code": Code()}, tmp_path / STATE_FILE)
    with pytest.raises(DataError, match="damaged or not a training's state"):
        load_state(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_no_pictures_are_told(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no pictures"):
        trainer(tmp_path, pictures=0)


def test_train_from_files(tmp_path) -> None:
    recipe, data = tmp_path / "recipe.json", write_coco(tmp_path / "data")
    recipe.write_text(recipe_of("alignps", epochs=1).model_dump_json())
    model = train(recipe, data, tmp_path / "out", replace(QUIET, test_data=data / "annotations.json"))
    assert PersonSearcher.from_pretrained(str(model), device="cpu").model.name == "alignps"
    assert lines(tmp_path / "out")[-1]["queries"] == 6
    with pytest.raises(ConfigError, match="already holds a training"):
        train(recipe, data, tmp_path / "out", QUIET)
    assert train(recipe, data, tmp_path / "out", replace(QUIET, resume=True)) == model


@pytest.mark.slow
def test_a_training_may_stop_after_an_epoch_and_go_on(tmp_path) -> None:
    """Its schedule is the whole training's, so that both ways give the same numbers."""
    recipe, whole, parts = recipe_of("nae", epochs=2, batch_size=2), tmp_path / "whole", tmp_path / "parts"
    train(recipe, MadeUpScenes(4), whole, QUIET)
    train(recipe, MadeUpScenes(4), parts, replace(QUIET, epochs=1))
    assert [line["step"] for line in lines(parts)] == [1, 2]
    train(recipe, MadeUpScenes(4), parts, replace(QUIET, resume=True))
    assert without_times(whole) == without_times(parts)


def test_tensorboard_shows_the_log_of_a_resumed_training(tmp_path) -> None:
    trainer(tmp_path, options={"tensorboard": True}).run(until=3)
    again = trainer(tmp_path, options={"tensorboard": True})
    again.resume()
    again.run()
    logged = [(line["step"], line["loss"]) for line in lines(tmp_path)]
    events = EventAccumulator(str(tmp_path / BOARD_FOLDER)).Reload().Scalars("loss")
    assert [event.step for event in events] == [1, 2, 3, 4]
    assert [event.value for event in events] == pytest.approx([loss for _, loss in logged])


def test_a_training_of_no_epochs_is_told(tmp_path) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        train(recipe_of("nae"), MadeUpScenes(2), tmp_path / "out", replace(QUIET, epochs=0))
    assert not (tmp_path / "out").exists()


def test_train_on_the_command_line(tmp_path) -> None:
    recipe, data, out = tmp_path / "recipe.json", write_coco(tmp_path / "data"), tmp_path / "out"
    recipe.write_text(recipe_of("alignps", epochs=1).model_dump_json())
    arguments = ["train", str(recipe), str(data), str(out), "--device", "cpu"]
    result = CliRunner().invoke(cli.app, arguments)
    assert json.loads(result.stdout) == {"folder": str(out / MODEL_FOLDER)}
    assert PersonSearcher.from_pretrained(out / MODEL_FOLDER, device="cpu").model.name == "alignps"
    assert isinstance(CliRunner().invoke(cli.app, arguments).exception, ConfigError)
    assert CliRunner().invoke(cli.app, [*arguments, "--resume"]).exit_code == 0


class Perfect:
    """A model that knows the made-up people by their place in the data set."""

    name, fingerprint, embedding_dim, min_score = "perfect", "", 5, 0.5

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = {sample.image.tobytes(): sample for sample in samples}

    def prepare(self, image):
        return self.samples[image.tobytes()]

    def detect(self, prepared):
        from personsearch.results import Detections

        return [Detections(one.boxes, torch.ones(len(one.boxes)).numpy(), self._rows(one)) for one in prepared]

    def embed(self, prepared, boxes):
        return [self._rows(one)[one.identities >= 0] for one in prepared]

    def _rows(self, sample: Sample):
        return torch.eye(5)[sample.identities].numpy()


def test_a_perfect_model_scores_one() -> None:
    data = MadeUpScenes(4)
    scores = search_scores(Perfect(data.samples), data)
    assert scores == {"mAP": 1, "top1": 1, "recall": 1, "ap": 1, "queries": 12, "confidence_weighted": False}
    few = search_scores(Perfect(data.samples), data, pictures=[0, 2], max_queries=4)
    assert few["queries"] == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "epochs"), [("oim", 80), ("nae", 80), ("nae+", 140), ("seqnet", 50), ("trident", 50), ("alignps", 35), ("roi-alignps", 35)]
)
def test_every_network_learns_eight_scenes_by_heart(name, epochs, tmp_path) -> None:
    # as many epochs as it takes whatever the seed (several were tried): rounding differs between machines as seeds do
    data = MadeUpScenes(8)
    recipe = recipe_of(name, epochs=epochs, batch_size=2)
    learning = Trainer(recipe, build_learner(recipe, data.identities), data, tmp_path)
    scores = partial(search_scores, dataset=data)
    assert scores(learning.model())["top1"] < 0.5
    final = learned_by_heart(learning, scores)
    assert final["queries"] == 24
    assert final["top1"] > 0.9, final  # all but one or two of 24: OIM with seed 6 leaves one
    assert final["recall"] > 0.9, final


def test_a_training_starts_from_weights_and_is_measured_on_own_data(tmp_path: Path) -> None:
    """On the command line: the test part of a data set by name, and the start from a classifier's weights."""
    recipe, data = recipe_of("nae", epochs=1, batch_size=2), write_coco(tmp_path / "data")
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    backbone = build_backbone(parse(BackboneConfig, recipe.network["backbone"], "backbone"))
    torch.save(backbone.state_dict(), tmp_path / "weights.pth")
    out = tmp_path / "out"
    options = ["--device", "cpu", "--test-data", f"coco:{data}", "--backbone-weights", str(tmp_path / "weights.pth")]
    result = CliRunner().invoke(cli.app, ["train", str(tmp_path / "recipe.json"), str(data), str(out), *options])
    assert result.exit_code == 0, result.output
    *_, measured = lines(out)
    assert {"mAP", "top1", "queries", "confidence_weighted"} <= measured.keys()
    assert (measured["queries"], measured["confidence_weighted"]) == (4, True)
