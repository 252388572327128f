"""Who a person is: body, skin, hair, clothes, shoes and bag, drawn at random."""

import colorsys
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from personsearch.synthetic.body.assets import Assets
from personsearch.synthetic.body.morph import Shape
from personsearch.synthetic.kernels.textures import PATTERN_SHARES, PATTERNS, Color, Fabric

# what people wear in the street: much black, grey, blue and brown
MUTED: tuple[Color, ...] = (
    (0.07, 0.07, 0.08), (0.13, 0.13, 0.14), (0.25, 0.25, 0.27), (0.42, 0.42, 0.43), (0.62, 0.62, 0.62), (0.88, 0.88, 0.87),
    (0.1, 0.13, 0.22), (0.14, 0.2, 0.36), (0.25, 0.35, 0.52), (0.45, 0.55, 0.68), (0.25, 0.19, 0.14), (0.42, 0.33, 0.24),
    (0.66, 0.58, 0.46), (0.78, 0.72, 0.62), (0.25, 0.27, 0.19), (0.35, 0.12, 0.14), (0.3, 0.32, 0.36),
)  # fmt: skip
HAIR: tuple[Color, ...] = (
    (0.05, 0.04, 0.04),
    (0.1, 0.07, 0.05),
    (0.2, 0.13, 0.08),
    (0.33, 0.22, 0.13),
    (0.62, 0.5, 0.32),
    (0.55, 0.54, 0.52),
)
SKIN: tuple[Color, ...] = (
    (0.9, 0.73, 0.63),
    (0.84, 0.66, 0.54),
    (0.76, 0.57, 0.44),
    (0.6, 0.42, 0.31),
    (0.43, 0.29, 0.21),
    (0.3, 0.2, 0.15),
)
BagKind = Literal["backpack", "shoulder", "hand"]
Outer = Literal["", "skirt", "coat"]


@dataclass(frozen=True)
class Top:
    """What covers the upper body."""

    suit: str
    fabric: Fabric
    sleeve: float  # share of the arm that is covered
    sleeve_color: Color | None
    split: float | None  # share of the torso's height above which `split_color` begins
    split_color: Color
    opening: float  # dm of the inner shirt seen on each side of the middle; 0 = closed
    inner_color: Color
    logo: tuple[float, float, float] | None  # x, y and half width, dm from the chest's middle
    logo_color: Color


@dataclass(frozen=True)
class Bottom:
    """Trousers, shorts, skirt or the lower half under a coat."""

    suit: str
    fabric: Fabric
    length: float  # share of the leg that is covered
    outer: Outer
    hem: float  # share of the leg that skirt or coat reach down


@dataclass(frozen=True)
class Bag:
    """A bag and how it is carried."""

    kind: BagKind
    color: Color
    size: float


@dataclass(frozen=True)
class Appearance:
    """All that makes an identity; equal appearances give equal pictures."""

    shape: Shape
    skin: Color
    hair: str  # "" = bald
    hair_color: Color
    beard: float  # 0..1
    hat: str
    hat_color: Color
    top: Top
    bottom: Bottom
    leg_color: Color  # what is seen below a hem: skin or tights
    shoes: str
    shoe_color: Color
    sole_color: Color
    bag: Bag | None


def draw_appearance(assets: Assets, rng: np.random.Generator) -> Appearance:
    """A random person."""
    shape = _shape(rng)
    man = shape.gender > 0.5
    skin = _mix(SKIN[int(np.clip(rng.normal((1.0, 1.5, 4.2)[int(np.argmax(shape.races))], 0.9), 0, 5))], rng.uniform(0.92, 1.08))
    hats = sorted(assets.hats)
    hat = str(rng.choice(hats)) if hats and rng.random() < 0.08 else ""
    bottom = _bottom(assets, man, rng)
    return Appearance(
        shape=shape,
        skin=skin,
        hair=_hair(assets, man, bool(hat), rng),
        hair_color=_mix(HAIR[int(rng.choice(len(HAIR), p=(0.3, 0.24, 0.2, 0.12, 0.06, 0.08)))], rng.uniform(0.85, 1.15)),
        beard=float(rng.uniform(0.2, 0.9)) if man and rng.random() < 0.35 else 0.0,
        hat=hat,
        hat_color=cloth_color(rng, 0.7),
        top=_top(assets, man, rng),
        bottom=bottom,
        leg_color=_mix(MUTED[int(rng.integers(3))], 1.0) if rng.random() < 0.4 and bottom.outer == "skirt" else skin,
        shoes=str(rng.choice(sorted(assets.shoes))) if assets.shoes else "",
        shoe_color=_shoe_color(rng),
        sole_color=(0.85, 0.85, 0.83) if rng.random() < 0.35 else (0.08, 0.08, 0.08),
        bag=_bag(rng),
    )


def vary_one_item(person: Appearance, rng: np.random.Generator) -> Appearance:
    """The same person but for one thing: bag, shoes, trousers, top's fabric or hair colour."""
    item = str(rng.choice(["bag", "shoes", "bottom", "top", "hair"], p=(0.3, 0.15, 0.25, 0.2, 0.1)))
    if item == "bag":
        if person.bag is None:
            return replace(person, bag=Bag("backpack", cloth_color(rng, 0.6), float(rng.uniform(0.85, 1.2))))
        return replace(person, bag=None)
    if item == "shoes":
        return replace(person, shoe_color=_other_color(person.shoe_color, rng))
    if item == "bottom":
        fabric = person.bottom.fabric
        return replace(person, bottom=replace(person.bottom, fabric=_recolored(fabric, rng)))
    if item == "top":
        return replace(person, top=replace(person.top, fabric=_recolored(person.top.fabric, rng)))
    if person.hair:
        return replace(person, hair_color=_far_from(person.hair_color, HAIR, rng))
    return replace(person, shoe_color=_other_color(person.shoe_color, rng))


def cloth_color(rng: np.random.Generator, muted: float) -> Color:
    """A colour of clothes: one of the common muted ones with probability `muted`, else any."""
    if rng.random() < muted:
        return _mix(MUTED[int(rng.integers(len(MUTED)))], rng.uniform(0.85, 1.15))
    hue, saturation, value = rng.random(), rng.beta(1.6, 1.6), 0.12 + 0.83 * rng.beta(1.8, 1.6)
    red, green, blue = colorsys.hsv_to_rgb(float(hue), float(saturation), float(value))
    return red, green, blue


def fabric(rng: np.random.Generator, muted: float, plain: float = 0.0) -> Fabric:
    """A random fabric; `plain` is an extra probability of no pattern at all."""
    pattern = "plain" if rng.random() < plain else PATTERNS[int(rng.choice(len(PATTERNS), p=PATTERN_SHARES))]
    first = cloth_color(rng, muted)
    second = _mix(first, rng.uniform(0.55, 1.5)) if rng.random() < 0.4 else _other_color(first, rng)
    third = cloth_color(rng, muted)
    period = float(np.exp(rng.uniform(np.log(0.25), np.log(1.6))))
    if pattern == "gradient":
        period *= 6
    elif pattern == "heather":
        period, second = 0.9, _mix(first, 1.0 + 0.5 * float(rng.choice([-1, 1])))
    return Fabric(pattern, (first, second, third), period, int(rng.integers(1 << 31)))


def _shape(rng: np.random.Generator) -> Shape:
    gender = float(rng.uniform(0.75, 1.0) if rng.random() < 0.54 else rng.uniform(0.0, 0.25))
    if rng.random() < 0.05:
        child = float(rng.uniform(0.4, 0.8))
        ages = (child, 1.0 - child, 0.0)
    else:
        old = float(np.clip(rng.uniform(-0.5, 0.9), 0.0, 1.0))
        ages = (0.0, 1.0 - old, old)
    races = rng.dirichlet((0.35, 0.35, 0.35))
    weight = float(np.clip(rng.normal(0.1, 0.45), -0.9, 1.0))
    return Shape(gender, ages, (float(races[0]), float(races[1]), float(races[2])), weight, float(np.clip(rng.normal(1.0, 0.04), 0.9, 1.1)))


def _suits(assets: Assets, man: bool, upper: bool) -> list[str]:
    """Suits that have the half asked for, one's own gender's first choice."""
    having = [name for name, suit in sorted(assets.suits.items()) if bool(suit.upper.any() if upper else suit.lower.any())]
    own = [name for name in having if ("Female" not in assets.suits[name].proxy.tags if man else "Female" in assets.suits[name].proxy.tags)]
    return own or having


def _suit(assets: Assets, man: bool, upper: bool, rng: np.random.Generator) -> str:
    # some women wear what is cut for men; hardly a man the other way round
    names = _suits(assets, man or rng.random() < 0.25, upper)
    # a top that ends at the ribs is for sports
    waist = assets.anatomy.leg[0, 1]
    weights = np.ones(len(names))
    for k, name in enumerate(names if upper else ()):
        suit = assets.suits[name]
        low = suit.surface.rest[suit.surface.triangles[suit.upper]][:, :, 1].min()
        weights[k] = 0.1 if low > waist + 1.5 else 1.0
    return str(rng.choice(names, p=weights / weights.sum()))


def _top(assets: Assets, man: bool, rng: np.random.Generator) -> Top:
    short = rng.random() < 0.42
    opening = float(rng.uniform(0.25, 0.8)) if not short and rng.random() < 0.4 else 0.0
    logo = (float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.3, 0.3)), float(rng.uniform(0.15, 0.7))) if rng.random() < 0.25 else None
    return Top(
        suit=_suit(assets, man, True, rng),
        fabric=fabric(rng, 0.45, plain=0.5 if opening else 0.0),
        sleeve=float(rng.uniform(0.24, 0.5)) if short else 2.0,
        sleeve_color=cloth_color(rng, 0.5) if rng.random() < 0.1 else None,
        split=float(rng.uniform(0.3, 0.7)) if rng.random() < 0.12 else None,
        split_color=cloth_color(rng, 0.4),
        opening=opening,
        inner_color=cloth_color(rng, 0.7),
        logo=logo if not opening else None,
        logo_color=cloth_color(rng, 0.3),
    )


def _bottom(assets: Assets, man: bool, rng: np.random.Generator) -> Bottom:
    suit = _suit(assets, man, False, rng)
    chance = rng.random()
    outer: Outer = ""
    if "helper-skirt" in assets.base.groups:
        if not man and chance < 0.3:
            outer = "skirt"
        elif chance > 0.87:
            outer = "coat"
    shorts = not outer and rng.random() < 0.15
    length = float(rng.uniform(0.36, 0.58)) if shorts else 2.0
    hem = float(rng.uniform(0.3, 0.95)) if outer == "skirt" else float(rng.uniform(0.3, 0.6))
    return Bottom(suit, fabric(rng, 0.72, plain=0.72 if outer != "skirt" else 0.3), length, outer, hem)


def _hair(assets: Assets, man: bool, hat: bool, rng: np.random.Generator) -> str:
    if man and rng.random() < 0.1:
        return ""
    names = sorted(assets.hair)
    short = [name for name in names if "Short" in assets.hair[name].proxy.tags and "Bob" not in assets.hair[name].proxy.tags]
    wanted = short if man or (hat and short) else names
    return str(rng.choice(wanted or names)) if names else ""


def _bag(rng: np.random.Generator) -> Bag | None:
    chance = rng.random()
    if chance > 0.48:
        return None
    kind: BagKind = "backpack" if chance < 0.24 else "shoulder" if chance < 0.38 else "hand"
    return Bag(kind, cloth_color(rng, 0.65), float(rng.uniform(0.8, 1.25)))


def _shoe_color(rng: np.random.Generator) -> Color:
    return cloth_color(rng, 1.0) if rng.random() < 0.8 else cloth_color(rng, 0.0)


def _mix(color: Color, gain: float) -> Color:
    red, green, blue = (float(np.clip(value * gain, 0.02, 0.97)) for value in color)
    return red, green, blue


def _distance(a: Color, b: Color) -> float:
    return float(np.abs(np.subtract(a, b)).max())


def _other_color(color: Color, rng: np.random.Generator) -> Color:
    """A colour of clothes that is seen to differ from `color`."""
    while True:
        other = cloth_color(rng, 0.5)
        if _distance(color, other) > 0.25:
            return other


def _far_from(color: Color, choices: tuple[Color, ...], rng: np.random.Generator) -> Color:
    """One of the choices that differ from `color` visibly."""
    far = [other for other in choices if _distance(color, other) > 0.2] or list(choices)
    return far[int(rng.integers(len(far)))]


def _recolored(cloth: Fabric, rng: np.random.Generator) -> Fabric:
    return replace(cloth, colors=(_other_color(cloth.colors[0], rng), *cloth.colors[1:]))
