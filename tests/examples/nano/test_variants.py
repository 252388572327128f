"""The real crops of the second phase."""

import numpy as np

from examples.nano.variants import HEIGHT, WIDTH, piece, recoloured, reframed, variants


def crop() -> np.ndarray:
    """Red above, blue below, grey at the left edge."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:64], image[64:], image[:, :4] = (200, 30, 30), (30, 30, 200), (90, 90, 90)
    return image


def test_there_are_as_many_as_said_and_a_seed_gives_them_again() -> None:
    photograph = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    made, again, other = (variants(crop()[None], [photograph], np.random.default_rng(seed), pieces=7) for seed in (3, 3, 4))
    assert made.shape == (15 + 7, HEIGHT, WIDTH, 3)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, again)
    assert not np.array_equal(made, other)
    few = variants(crop()[None], [photograph], np.random.default_rng(3), reframe=2, recolour=0, pieces=1)
    np.testing.assert_array_equal(few[:2], made[:2])
    assert len(few) == 3


def test_recolouring_changes_the_clothes_by_one_hue_each() -> None:
    changed = recoloured(crop(), np.random.default_rng(1))
    upper, lower = changed[:40, 20:], changed[90:, 20:]
    assert np.ptp(upper.reshape(-1, 3), axis=0).max() == 0
    assert np.ptp(lower.reshape(-1, 3), axis=0).max() == 0
    assert np.abs(upper[0, 0].astype(int) - (200, 30, 30)).max() > 20


def test_reframing_keeps_the_person_whole() -> None:
    for seed in range(20):
        changed = reframed(crop(), np.random.default_rng(seed))
        assert (changed[30, 25:40] == (200, 30, 30)).all()
        assert (changed[100, 25:40] == (30, 30, 200)).all()


def test_a_piece_lies_inside_the_photograph() -> None:
    photograph = np.full((60, 45, 3), 77, np.uint8)
    for seed in range(20):
        assert (piece(photograph, np.random.default_rng(seed)) == 77).all()
