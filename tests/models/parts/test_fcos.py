import pytest
import torch
from torch import Tensor

from personsearch.models.parts.fcos import FCOSHead, LevelMaps
from personsearch.models.parts.fcos_select import SelectionRules, features_at, select

SURE = 10.0  # logit: sigmoid is 1 to 5e-5


def blank(height: int = 10, width: int = 12, stride: int = 8) -> LevelMaps:
    """Maps without people; the feature of a cell is (row, column)."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return LevelMaps(
        stride=stride,
        class_logits=torch.full((1, 1, height, width), -SURE),
        centerness_logits=torch.full((1, 1, height, width), SURE),
        distances=torch.ones(1, 4, height, width),
        features=torch.stack([rows, columns])[None].float(),
    )


def put(maps: LevelMaps, row: int, column: int, *, score: float, centerness: float = 0.5, box: tuple[float, ...] = (1, 1, 1, 1)) -> None:
    maps.class_logits[0, 0, row, column] = torch.tensor(score).logit()
    maps.centerness_logits[0, 0, row, column] = torch.tensor(centerness).logit()
    maps.distances[0, :, row, column] = torch.tensor(box)


def people(*maps: LevelMaps, resized: tuple[int, int] = (80, 96), original: tuple[int, int] = (80, 96), **rules):
    return select(maps, 0, resized, original, SelectionRules(**rules))


def test_one_person_by_hand() -> None:
    maps = blank()
    put(maps, 2, 3, score=0.9, centerness=0.5, box=(1, 2, 0.5, 3))
    detections = people(maps)
    assert detections.boxes.tolist() == [[28 - 8, 20 - 16, 28 + 4, 20 + 24]]  # cell (2, 3) has its centre at (28, 20)
    assert detections.scores.tolist() == pytest.approx([0.45])
    assert detections.features.tolist() == [[2, 3]]
    assert detections.cells.tolist() == [[0, 2, 3]]


def test_boxes_are_cut_to_the_resized_image_and_scaled_back() -> None:
    maps = blank()
    put(maps, 9, 11, score=0.9, box=(2, 2, 9, 9))
    detections = people(maps, resized=(78, 90), original=(39, 180))
    assert detections.boxes.tolist() == [[(92 - 16) * 2, (76 - 16) / 2, 180, 39]]


def test_the_class_score_alone_must_exceed_the_threshold() -> None:
    maps = blank()
    put(maps, 2, 2, score=0.06, centerness=0.1)  # score 0.006, passes
    put(maps, 2, 8, score=0.04, centerness=0.999)  # score 0.04, dropped
    put(maps, 8, 2, score=0.5, centerness=0.5)
    assert people(maps).cells[:, 1:].tolist() == [[8, 2], [2, 2]]
    assert len(people(maps, min_class_score=torch.tensor(0.5).logit().sigmoid().item()).boxes) == 0


def test_overlaps_are_suppressed_in_original_pixels() -> None:
    maps = blank()
    put(maps, 4, 4, score=0.9, box=(2, 2, 2, 2))
    put(maps, 4, 5, score=0.8, box=(2, 2, 2, 2))  # IoU 24 / 40 = 0.6
    put(maps, 4, 6, score=0.7, box=(2, 2, 2, 2))  # IoU with the first 16 / 48
    assert people(maps).cells[:, 2].tolist() == [4, 6]
    assert people(maps, nms_iou=0.7).cells[:, 2].tolist() == [4, 5, 6]


def test_only_the_best_cells_and_people_are_kept() -> None:
    maps = blank()
    for column in range(12):
        put(maps, 3, column, score=0.1 + column * 0.05, box=(0.1, 0.1, 0.1, 0.1))
    assert people(maps, max_people=5).cells[:, 2].tolist() == [11, 10, 9, 8, 7]
    assert people(maps, before_nms=3).cells[:, 2].tolist() == [11, 10, 9]


def test_the_released_rules_take_1000_cells_of_a_level_and_100_people() -> None:
    crowded = blank(40, 40)
    crowded.class_logits.fill_(SURE)
    crowded.distances.fill_(0.1)  # boxes that do not overlap
    assert len(people(crowded, resized=(320, 320), original=(320, 320)).boxes) == 100
    assert len(people(crowded, resized=(320, 320), original=(320, 320), max_people=5000).boxes) == 1000


def test_maps_without_people_give_no_detections() -> None:
    detections = people(blank(), blank(5, 6, 16))
    assert detections.boxes.shape == (0, 4)
    assert detections.features.shape == (0, 2)
    assert detections.cells.shape == (0, 3)


def test_levels_are_joined() -> None:
    fine, coarse = blank(), blank(5, 6, 16)
    put(fine, 1, 1, score=0.6)
    put(coarse, 3, 4, score=0.9)
    detections = people(fine, coarse)
    assert detections.cells.tolist() == [[1, 3, 4], [0, 1, 1]]
    assert detections.boxes.tolist() == [[56, 40, 88, 72], [4, 4, 20, 20]]


def test_features_at_the_centre_of_a_box() -> None:
    boxes = torch.tensor([[8.0, 16.0, 40.0, 64.0], [-9.0, -9.0, 1.0, 1.0], [90.0, 70.0, 200.0, 200.0]])
    assert features_at([blank()], 0, boxes).tolist() == [[5, 3], [0, 0], [9, 11]]  # (24, 40); outside: the nearest
    assert features_at([blank()], 0, boxes[:0]).shape == (0, 2)


def test_the_size_of_a_box_decides_its_level() -> None:
    fine, coarse = blank(64, 64), blank(32, 32, 16)
    boxes = torch.tensor([[0.0, 0.0, 100.0, 256.0], [0.0, 0.0, 100.0, 258.0]])  # farthest side 128 and 129 pixels away
    assert features_at([fine, coarse], 0, boxes).tolist() == [[16, 6], [8, 3]]


def head(structure: str = "reid-first", **options) -> FCOSHead:
    torch.manual_seed(0)
    return FCOSHead(32, structure=structure, **options).eval()


def map3() -> Tensor:
    return torch.randn(2, 32, 6, 5, generator=torch.Generator().manual_seed(1)) + 3


@torch.no_grad()
def test_the_map_less_its_mean_is_the_feature() -> None:
    x = map3()
    (maps,) = head()([x])
    torch.testing.assert_close(maps.features, x - x.mean(dim=(2, 3), keepdim=True))
    (maps,) = head(subtract_mean=False)([x])
    assert torch.equal(maps.features, x)
    assert maps.class_logits.shape == maps.centerness_logits.shape == (2, 1, 6, 5)
    assert maps.distances.shape == (2, 4, 6, 5)
    assert maps.distances.min() >= 0


@pytest.mark.parametrize(
    ("structure", "follows"), [("reid-first", set()), ("T1", {"box_tower"}), ("T2", {"class_tower"}), ("T3", {"reid_tower"})]
)
@torch.no_grad()
def test_structures_of_table_3(structure, follows) -> None:
    network, x = head(structure), map3()
    before = network([x])[0].features
    for tower in ("class_tower", "box_tower", "reid_tower"):
        if getattr(network, tower) is None:
            assert tower == "reid_tower"
            continue
        changed = head(structure)
        getattr(changed, tower)[0][0].weight.mul_(-1)
        assert (not torch.equal(changed([x])[0].features, before)) == (tower in follows)


@torch.no_grad()
def test_a_scale_for_each_level() -> None:
    network = head(levels=(3, 4))
    network.distances.bias.fill_(1)
    network.scales[1].fill_(3)
    fine, coarse = network([map3(), map3()])
    torch.testing.assert_close(coarse.distances, 3 * fine.distances)
    assert (fine.stride, coarse.stride) == (8, 16)


@torch.no_grad()
def test_scores_start_at_the_prior() -> None:
    maps = head()([map3()])[0]
    assert 0.005 < maps.class_logits.sigmoid().mean() < 0.02  # 1 cell in 100: focal loss starts stable
