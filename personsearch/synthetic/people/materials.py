"""What the shader needs to know of each surface of a person, as one row of numbers."""

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.body.anatomy import Anatomy
from personsearch.synthetic.kernels.textures import TILE, Color, tile
from personsearch.synthetic.people.appearance import Appearance

# rows of a person's material table
SKIN, TOP, BOTTOM, OUTER, SHOES, HAIR, HAT, BAG, EYES = range(9)
MATERIALS = 9
# what the shader does with a row
KIND_SKIN, KIND_CLOTH, KIND_HAIR, KIND_SOLID, KIND_EYE = range(5)
# columns; a colour takes three
KIND, PERIOD, ARM_END, LEG_END, SPLIT_Y, OPENING, LOGO_X, LOGO_Y, LOGO_SIZE, STRAPS, GLOSS, FOLDS, SOLE_Y, SLEEVES, BEARD = range(15)
BASE_COLOR, UNDER_COLOR, SPLIT_COLOR, INNER_COLOR, LOGO_COLOR, STRAP_COLOR, SLEEVE_COLOR, HAIR_COLOR = range(15, 39, 3)
EYE_X, EYE_Y, EYE_Z, NECK_Y, WAIST_Y, ARM_RADIUS, LEG_RADIUS = range(39, 46)
COLUMNS = 46
NEVER = 1e6
NO_STRAPS, TWO_STRAPS, SLING = range(3)


def material_table(person: Appearance, anatomy: Anatomy) -> tuple[Array, Array]:
    """The rows and the tiles of a person's surfaces.

    Returns:
        (9, 46) float32 rows, colours linear; (9, 64, 64, 3) float32 tiles, linear.
    """
    rows = np.zeros((MATERIALS, COLUMNS), np.float32)
    rows[:, [ARM_END, LEG_END, SPLIT_Y]] = NEVER
    rows[:, SOLE_Y] = -NEVER
    rows[:, [EYE_X, EYE_Y, EYE_Z]] = anatomy.eye
    rows[:, NECK_Y], rows[:, WAIST_Y] = anatomy.neck_y, anatomy.leg[0, 1] + 0.7
    rows[:, ARM_RADIUS], rows[:, LEG_RADIUS] = 0.5, 0.85
    rows[:, FOLDS] = 1.0
    for row, kind, color in (
        (SKIN, KIND_SKIN, person.skin),
        (SHOES, KIND_SOLID, person.shoe_color),
        (HAIR, KIND_HAIR, person.hair_color),
        (HAT, KIND_SOLID, person.hat_color),
        (BAG, KIND_SOLID, person.bag.color if person.bag else (0.0, 0.0, 0.0)),
        (EYES, KIND_EYE, (0.8, 0.78, 0.76)),
    ):
        rows[row, KIND] = kind
        _paint(rows[row], BASE_COLOR, color)
    rows[SKIN, BEARD] = person.beard
    _paint(rows[SKIN], HAIR_COLOR, person.hair_color)
    _paint(rows[SKIN], UNDER_COLOR, person.leg_color)  # legs, where tights are worn
    rows[SKIN, FOLDS] = 0.0
    rows[SHOES, SOLE_Y] = anatomy.leg[2, 1] - 0.45
    _paint(rows[SHOES], UNDER_COLOR, person.sole_color)
    rows[[SKIN, SHOES, BAG], GLOSS] = (0.12, 0.3, 0.2)
    _cloth_rows(rows, person, anatomy)
    tiles = np.ones((MATERIALS, TILE, TILE, 3), np.float32)
    tiles[TOP], tiles[BOTTOM] = linear(tile(person.top.fabric)), linear(tile(person.bottom.fabric))
    tiles[OUTER] = tiles[BOTTOM] if person.bottom.outer == "skirt" else tiles[TOP]
    return rows, tiles


def linear(srgb: Array) -> Array:
    """Light of sRGB values in 0..1 (the plain power 2.2)."""
    return np.asarray(np.clip(srgb, 0.0, 1.0) ** 2.2)


def _cloth_rows(rows: Array, person: Appearance, anatomy: Anatomy) -> None:
    """Fill the rows of top, trousers and skirt or coat, in place."""
    top, bottom = person.top, person.bottom
    rows[[TOP, BOTTOM, OUTER], KIND] = KIND_CLOTH
    coat = bottom.outer == "coat"
    rows[TOP, PERIOD], rows[BOTTOM, PERIOD] = top.fabric.period, bottom.fabric.period
    rows[OUTER, PERIOD] = top.fabric.period if coat else bottom.fabric.period
    rows[TOP, ARM_END] = top.sleeve * anatomy.arm_length if top.sleeve <= 1 else NEVER
    rows[BOTTOM, LEG_END] = bottom.length * anatomy.leg_length if bottom.length <= 1 else NEVER
    _paint(rows[TOP], UNDER_COLOR, person.skin)
    _paint(rows[BOTTOM], UNDER_COLOR, person.leg_color)
    if top.split is not None and not coat:
        waist = rows[TOP, WAIST_Y]
        rows[TOP, SPLIT_Y] = waist + top.split * (anatomy.neck_y - waist)
        _paint(rows[TOP], SPLIT_COLOR, top.split_color)
    if top.opening:
        rows[TOP, OPENING] = top.opening
        _paint(rows[TOP], INNER_COLOR, top.inner_color)
    if top.logo is not None:
        chest = anatomy.neck_y - 1.6
        rows[TOP, [LOGO_X, LOGO_Y, LOGO_SIZE]] = (top.logo[0], chest + top.logo[1], top.logo[2])
        _paint(rows[TOP], LOGO_COLOR, top.logo_color)
    if top.sleeve_color is not None:
        rows[TOP, SLEEVES] = 1.0
        _paint(rows[TOP], SLEEVE_COLOR, top.sleeve_color)
    if person.bag is not None and person.bag.kind != "hand":
        rows[TOP, STRAPS] = TWO_STRAPS if person.bag.kind == "backpack" else SLING
        _paint(rows[TOP], STRAP_COLOR, person.bag.color)


def _paint(row: Array, column: int, color: Color) -> None:
    row[column : column + 3] = linear(np.array(color))
