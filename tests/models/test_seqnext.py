"""SeqNeXt and GFN: the authors' numbers, and what every network for scenes keeps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from personsearch import GFN, PersonSearcher, Query
from personsearch.boxes import Array, iou
from personsearch.errors import ConfigError, QueryError
from personsearch.models.parts.rpn import frames_of
from personsearch.models.scene import SceneBatch, SceneDetections, SceneModel
from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig, window_input
from personsearch.options import Precision
from tests.helpers.batches import detections_in_any_batch
from tests.helpers.gfn_golden import BACKBONES, EMBEDDINGS, SMALL, Pass, assert_among, assert_people, network, one_pass, opened, sampled
from tests.helpers.seqnet_golden import DATA, batch_of, golden, picture

FUSED = 5e-6  # of numbers up to 12
SCENE_SCORES = 1e-6  # so flat that one changed weight of the filter moves them by 1e-7: the fused rows are compared too


def small(family: str) -> dict[str, Array]:
    return golden(DATA / f"{family}_small.npz")


def detect(net: SeqNeXt, image: Array) -> tuple[SceneBatch, SceneDetections]:
    batch = batch_of(net.prepare(image))
    with torch.inference_mode():
        (people,) = net.detect(batch)
    return batch, people


def assert_first_stage(seen: Pass, batch: SceneBatch, expected: dict[str, Array]) -> None:
    """Input, map, proposals and the first head's people; what differs first is named."""
    assert tuple(batch.pixels.shape) == tuple(expected["network_input_shape"])
    assert batch.resized == [tuple(expected["image_size"])]
    np.testing.assert_array_equal(sampled(batch.pixels[0]), expected["input_samp"], err_msg="input")
    np.testing.assert_allclose(sampled(seen.c4), expected["res4_samp"], atol=2e-5, rtol=0, err_msg="res4")
    assert len(seen.proposals) == expected["n_proposals"]
    assert_among(seen.proposals, expected["proposals_top16"], 1e-3)
    assert len(seen.first.boxes) == len(expected["stage1_boxes"])
    assert_among(seen.first.boxes, expected["stage1_boxes"], 1e-3)


def assert_scenes(net: SeqNeXt, rows: Array, scene: Array, expected: dict[str, Array]) -> None:
    """The scene's embedding, and GFN's scores of (Q, D) query rows of it with the golden gallery's scenes."""
    np.testing.assert_allclose(scene, expected["scene_embedding"][0], atol=EMBEDDINGS, rtol=0)
    scenes, compare = expected["gallery_scene_embeddings"], net.scene_filter
    assert compare is not None
    fused = np.stack([compare.fuse(row, scenes) for row in rows], axis=1)[:, :, ::32]
    np.testing.assert_allclose(fused, expected["gfn_fused_gallery_samp64"], atol=FUSED, rtol=0)
    scores = np.stack([compare.scores(row, scene, scenes) for row in rows])
    np.testing.assert_allclose(scores, expected["gfn_scores"], atol=SCENE_SCORES, rtol=0)


def assert_people_and_scene(net: SeqNeXt, batch: SceneBatch, people: SceneDetections, expected: dict[str, Array]) -> None:
    """What a gallery and GFN get of one image."""
    order = assert_people(people, batch, expected)
    assert people.scene is not None
    rows = np.concatenate([expected["query_embedding"], people.embeddings.numpy()[order[:3]]])
    assert_scenes(net, rows, people.scene.numpy(), expected)


def assert_detected(net: SeqNeXt, batch: SceneBatch, seen: Pass, expected: dict[str, Array]) -> None:
    """What a gallery gets, and what GFN says of a small gallery."""
    assert_first_stage(seen, batch, expected)
    assert_people_and_scene(net, batch, seen.people, expected)


def assert_embedded(net: SeqNeXt, batch: SceneBatch, people: SceneDetections, expected: dict[str, Array]) -> None:
    """What a query gets: the embeddings of its box and of its scene."""
    with torch.inference_mode():
        (rows,) = net.embed(batch, [torch.from_numpy(expected["query_box"])])
        (scene,) = net.embed_scenes(batch)
    np.testing.assert_allclose(rows, expected["query_embedding"], atol=EMBEDDINGS, rtol=0)
    np.testing.assert_allclose(scene, people.scene, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("family", BACKBONES)
def test_golden_numbers(family) -> None:
    net, expected = opened(family, **SMALL).network, small(family)
    assert isinstance(net, SeqNeXt)
    batch = batch_of(net.prepare(picture(240, 320, 3)))
    with one_pass(net, batch) as seen:
        assert_detected(net, batch, seen, expected)
    assert_embedded(net, batch, seen.people, expected)  # each from its own map, which costs too much at the papers' size


@pytest.mark.extra
@pytest.mark.parametrize("family", BACKBONES)
def test_golden_numbers_at_the_papers_size(family, shared: Path) -> None:
    net = opened(family, 900, 1500).network
    assert isinstance(net, SeqNeXt)
    expected = golden(shared / "reference" / "goldens" / f"{family}_full.npz")
    batch = batch_of(net.prepare(picture(900, 1500, 1)))
    with one_pass(net, batch) as seen:
        assert_detected(net, batch, seen, expected)
        assert_embedded(net, batch, seen.people, expected)


@pytest.mark.slow
def test_ranking_by_similarity_score_and_scene_is_the_authors() -> None:
    """The people of the first gallery image: cosine x score, and that times GFN's score of the image."""
    expected = small("gfn_resnet50")
    first = expected["ranking_image"] == 0
    rows = expected["embeddings"] / np.linalg.norm(expected["embeddings"], axis=1, keepdims=True)
    weighted = (expected["query_embedding"] @ rows.T) * expected["scores"][: len(rows)]
    np.testing.assert_allclose(weighted, expected["ranking_sims"][:, first][:, : len(rows)], atol=1e-6)
    net = network("gfn_resnet50", **SMALL)
    compare, scene = net.scene_filter, expected["scene_embedding"][0]
    assert compare is not None
    scenes = np.stack([compare.scores(query, scene, expected["gallery_scene_embeddings"]) for query in expected["query_embedding"]])
    filtered = expected["ranking_sims"] * scenes[:, expected["ranking_image"]]
    np.testing.assert_allclose(filtered, expected["ranking_sims_gfn"], atol=1e-6)


def _swapped_heads(net: SeqNeXt) -> None:
    net.first.res5, net.second.res5 = net.second.res5, net.first.res5


def _scenes_with_the_peoples_res5(net: SeqNeXt) -> None:
    assert net.scenes is not None
    net.scenes.res5 = net.second.res5


def _first_score(net: SeqNeXt) -> None:
    net.config = net.config.model_copy(update={"first_score": True})


def _one_weight(net: SeqNeXt) -> None:
    with torch.no_grad():
        net.second.embedding.projectors[1][0].weight[:, :8] *= 1.05


def _other_box_weights(net: SeqNeXt) -> None:
    net.coder.weights = (10.0, 10.0, 5.0, 5.001)


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [_swapped_heads, _scenes_with_the_peoples_res5, _first_score, _one_weight, _other_box_weights])
def test_one_wrong_detail_misses_the_golden_numbers(spoil) -> None:
    net, expected = opened("gfn_resnet50", **SMALL).network, small("gfn_resnet50")
    assert isinstance(net, SeqNeXt)
    spoil(net)
    batch, people = detect(net, picture(240, 320, 3))
    with pytest.raises(AssertionError):
        assert_people_and_scene(net, batch, people, expected)


@pytest.mark.slow
def test_another_eps_of_the_layer_norms_misses_the_golden_map() -> None:
    net, expected = network("gfn_convnext_base", **SMALL), small("gfn_convnext_base")
    pixels = net.prepare(picture(240, 320, 3)).pixels[None]
    with torch.inference_mode():
        assert np.abs(sampled(net(pixels)) - expected["res4_samp"]).max() < 2e-5
        for layer in net.modules():
            if isinstance(layer, torch.nn.LayerNorm):
                layer.eps = 1e-5
        assert np.abs(sampled(net(pixels)) - expected["res4_samp"]).max() > 2e-5


TINY: dict[str, Any] = {
    "backbone": {"name": "convnext-tiny", "width": 0.125},
    "short_side": 160,
    "long_side": 256,
    "embedding_dim": 32,
    "proposals": {"after_nms": 40},
    "gallery_filter": {"pool": 8},
}
PEOPLE, TALL, EMPTY = picture(120, 160, 1), picture(160, 120, 2), np.zeros((120, 160, 3), np.uint8)


def tiny(precision: Precision = "float32", **changes: Any) -> SceneModel:
    """A small network whose heads, started larger than for training, find people in PEOPLE and TALL."""
    torch.manual_seed(0)
    net = SeqNeXt(SeqNeXtConfig(**TINY | changes)).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("layer_scale"):
                parameter.fill_(0.5)
        net.first.classes.bias[1] += 5.5
        net.second.get_parameter("classes.bias").fill_(1.0)
    return SceneModel(net, name="tiny", fingerprint="", min_score=0.5, precision=precision)


@pytest.mark.parametrize("backbone", [TINY["backbone"], {"name": "resnet18", "width": 0.25, "norm": "frozen"}])
def test_what_an_image_gives_does_not_depend_on_its_batch(backbone) -> None:
    model = tiny(backbone=backbone, keep_score=0.0)
    images = [PEOPLE, TALL, EMPTY, picture(120, 160, 5), picture(60, 160, 4), picture(118, 160, 6)]
    together = detections_in_any_batch(model, images)
    assert min(map(len, together)) >= 3
    rows = model.embed_scenes([model.prepare(image) for image in images])
    for image, row, found in zip(images, rows, together, strict=True):
        np.testing.assert_allclose(model.embed_scenes([model.prepare(image)])[0], row, atol=1e-5)
        np.testing.assert_allclose(found.scene, row, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(row), 1, atol=1e-5)
    assert np.abs(rows[0] - rows[1]).max() > 1e-3


def test_an_empty_scene_has_an_embedding() -> None:
    model = tiny(keep_score=0.9999)
    (found,) = model.detect([model.prepare(EMPTY)])
    assert found.embeddings.shape == (0, 32)
    assert found.scene is not None
    assert found.take(np.zeros(0, int)).scene is found.scene
    assert model.embed_scenes([]).shape == (0, 32)


def test_autocast_moves_people_and_scenes_a_little() -> None:
    """bfloat16 has 8 bits."""
    exact, rough = (tiny(precision, keep_score=0.0) for precision in ("float32", "bfloat16"))
    (one,), (other,) = (model.detect([model.prepare(PEOPLE)]) for model in (exact, rough))
    overlap = iou(one.boxes[:3], other.boxes)
    assert (overlap.max(axis=1) > 0.8).all()
    assert other.scene.dtype == np.float32
    assert 0.98 < float(one.scene @ other.scene) < 1 - 1e-9
    assert rough.fingerprint.endswith("-bfloat16")


def test_without_a_gallery_filter_no_scenes() -> None:
    model = tiny(gallery_filter=None)
    prepared = [model.prepare(PEOPLE)]
    assert model.detect(prepared)[0].scene is None
    assert model.scene_filter is None
    with pytest.raises(ConfigError, match="has no gallery filter"):
        model.embed_scenes(prepared)


def test_the_second_score_ranks_cuts_and_is_returned() -> None:
    model = tiny(keep_score=0.0)
    seen = []
    model.network.get_submodule("second").register_forward_hook(lambda _, __, made: seen.append(made.logits.sigmoid()))
    (found,) = model.detect([model.prepare(PEOPLE)])
    assert set(found.scores.tolist()) <= set(seen[0].tolist())
    cut = float(found.scores[1])
    assert len(tiny(keep_score=cut).detect([model.prepare(PEOPLE)])[0]) == 1


@pytest.mark.parametrize(
    ("size", "resized"),
    [((1080, 1920), (844, 1500)), ((900, 1500), (900, 1500)), ((240, 320), (900, 1200)), ((2, 900), (3, 1500)), ((576, 720), (900, 1125))],
)
def test_the_new_size_is_rounded(size, resized) -> None:
    prepared = window_input(np.zeros((*size, 3), np.uint8), 900, 1500)
    assert prepared.resized == resized
    assert prepared.pixels.shape[1:] == tuple(-(-side // 32) * 32 for side in resized)
    assert prepared.pixels[:, resized[0] :].abs().sum() == 0


def test_every_parameter_gets_a_gradient() -> None:
    model = tiny(keep_score=0.0)
    net = model.network.train()
    batch = batch_of(model.prepare(PEOPLE), model.prepare(picture(120, 160, 5)))
    c4 = net(batch.pixels)
    logits, deltas = net.rpn.predict(c4)
    regions = net.pool(c4, net.rpn(c4, frames_of(batch.resized, batch.pixels)))
    first, second = net.first(regions), net.second(regions)
    scenes = net.scenes.norm(net.scenes(c4))
    outputs = [logits, deltas, first.class_logits, first.deltas, second.logits, second.deltas, second.embeddings, scenes]
    sum(output.square().sum() + output.sum() for output in outputs).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.extra
def test_cuda_finds_what_the_cpu_finds() -> None:
    torch.backends.cudnn.allow_tf32 = False  # ten bits less would be another arithmetic
    expected = small("gfn_convnext_base")
    net = network("gfn_convnext_base", **SMALL)
    model = SceneModel(net, name="", fingerprint="", min_score=0.5, device="cuda")
    prepared = model.prepare(picture(240, 320, 3))
    (found,) = model.detect([prepared])
    people = SceneDetections(*map(torch.from_numpy, (found.boxes, found.scores, found.embeddings)))
    assert_people(people, batch_of(prepared), expected)


def test_a_search_uses_the_scenes_of_query_and_gallery(tmp_path: Path) -> None:
    """The query's own picture has the highest scene score; hits of a search are its cosines times the scenes' scores."""
    searcher = PersonSearcher(tiny(keep_score=0.0))
    gallery = searcher.index([PEOPLE, TALL, picture(118, 160, 6)], gallery=tmp_path / "gallery", min_score=0.0, progress=False)
    assert gallery.key.scenes
    query = Query(PEOPLE, box=(10, 10, 60, 110))
    plain = {(hit.image, hit.box): hit.similarity for hit in searcher.search(query, gallery, top_k=200)}
    result = searcher.search(query, gallery, top_k=200, scene_filter="gfn")
    weights = {(hit.image, hit.box): hit.ranked_by / hit.similarity for hit in result}
    assert weights.keys() == plain.keys()
    by_image: dict[str, set[float]] = {}
    for (image, _), weight in weights.items():
        by_image.setdefault(image, set()).add(round(weight, 4))
    assert sorted(map(len, by_image.values())) == [1, 1, 1]
    assert max(map(max, by_image.values())) == pytest.approx(0.7311, abs=1e-4)
    embedded = searcher.embed_query(query, scene_filter="gfn")
    least = GFN(min_scene_score=0.731)
    filtered = searcher.search(embedded, gallery, top_k=200, scene_filter=least)
    assert filtered.scenes_left_out == 2
    assert "2 scenes left out" in repr(filtered)
    assert len({hit.image for hit in filtered}) == 1


def test_a_crop_or_another_model_has_no_scene_to_filter_by(tmp_path: Path) -> None:
    searcher = PersonSearcher(tiny())
    with pytest.raises(QueryError, match="a bare crop has none"):
        searcher.embed_query(PEOPLE, scene_filter="gfn")
    scene = Query(PEOPLE, box=(10, 10, 60, 110))
    with pytest.raises(QueryError, match="embedded without its scene"):
        searcher.search(searcher.embed_query(scene), tmp_path, scene_filter="gfn")
    with pytest.raises(QueryError, match="needs a model with GFN"):
        PersonSearcher(tiny(gallery_filter=None)).embed_query(scene, scene_filter="gfn")
