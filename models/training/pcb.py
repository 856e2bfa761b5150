"""Tiles of printed circuit boards with and without a defect: cutting, splitting, judging."""

import numpy as np
from PIL import Image

from . import turbofan

SIDE = 64
BOARD = 640
LABELS = ["good", "defective"]
KINDS = ["", "open", "short", "mousebite", "spur", "spurious copper", "pin hole"]
# Boards of one group (the first five digits) are alike: whole groups are kept for judging.
HELD_OUT = ["13000", "77000"]
# How far a tile's middle may lie from the place in question, pixels.
OFF_MAX = 6
# As many good ones: for the first the template is cut, for the second the inspected board.
TILES_PER_DEFECT = 2
# Places drawn on an inspected board for one good tile, of which the likest is taken.
PLACES_DRAWN = 20
# The brightness of a tile without any edge deviates by less.
FLAT = 10
SEED = 20261121
THRESHOLD = 0.5


def folder():
    return turbofan.shared() / "data" / "pcb"


def boards():
    """Name, inspected image, template, boxes `x1 y1 x2 y2 kind` of every board, in order."""
    for boxes in sorted(folder().glob("*.txt")):
        gray = lambda kind: np.asarray(
            Image.open(folder() / f"{boxes.stem}_{kind}.jpg").convert("L"), np.uint8
        )
        yield boxes.stem, gray("test"), gray("temp"), np.loadtxt(boxes, int, ndmin=2)


def cut(image, x, y):
    return image[y : y + SIDE, x : x + SIDE]


def free_places(boxes):
    """Where a tile touches no box: `x y` of its first pixel."""
    free = np.ones((BOARD - SIDE + 1, BOARD - SIDE + 1), bool)
    for x1, y1, x2, y2, _ in boxes:
        free[max(0, y1 - SIDE + 1) : y2 + 1, max(0, x1 - SIDE + 1) : x2 + 1] = False
    return np.argwhere(free)[:, ::-1]


def like(image, places, tile, chance):
    """Of some places drawn evenly the one whose brightness deviates most nearly as the tile's: with
    as much copper edge, for most places have less than those where defects are."""
    drawn = places[chance.integers(0, len(places), PLACES_DRAWN)]
    return min(drawn, key=lambda place: abs(cut(image, *place).std() - tile.std()))


def tiles(held_out):
    """Tiles around each defect and as many good ones, half of the template at the same place, half
    of the inspected board where no box is: tiles, whether defective, kind (0: none), whether of a
    template, and the name of each."""
    chance = np.random.default_rng(SEED + held_out)
    found, kinds, cleaned, names = [], [], [], []
    for name, inspected, template, boxes in boards():
        if name.startswith(tuple(HELD_OUT)) != held_out:
            continue
        places = free_places(boxes)
        for x1, y1, x2, y2, kind in boxes:
            for at in range(TILES_PER_DEFECT):
                off = chance.integers(-OFF_MAX, OFF_MAX + 1, 2)
                middle = np.array([x1 + x2, y1 + y2]) // 2 + off
                place = np.clip(middle - SIDE // 2, 0, BOARD - SIDE)
                good = (template, place)
                if at % 2:
                    good = (inspected, like(inspected, places, cut(template, *place), chance))
                for (image, (x, y)), of in [((inspected, place), kind), (good, 0)]:
                    found.append(cut(image, x, y))
                    kinds.append(of)
                    cleaned.append(image is template)
                    side = "template" if image is template else "inspected"
                    names.append(f"board {name}; {side}; x {x}; y {y}; kind {of}")
    kinds = np.array(kinds)
    return np.array(found), kinds > 0, kinds, np.array(cleaned), names


def as_input(images):
    """As the gateway gives them: a row of bytes, scaled and shifted."""
    scaled = images.reshape(len(images), 1, SIDE, SIDE).astype(np.float64) * SCALE + OFFSET
    return scaled.astype(np.float32)


SCALE = 1 / 255
OFFSET = -0.5


def darkness_bound(images, defective):
    """The mean brightness that tells the classes best: the trivial predictor."""
    means = images.mean(axis=(1, 2))
    bounds = np.quantile(means, np.linspace(0, 1, 201))
    return max(
        ((sign, bound) for sign in (1, -1) for bound in bounds),
        key=lambda way: np.mean((way[0] * means > way[0] * way[1]) == defective),
    )


def roc_auc(good, bad):
    both = np.sort(np.concatenate([good, bad]))
    at = lambda scores: (np.searchsorted(both, scores) + np.searchsorted(both, scores, "right")) / 2
    above = at(bad).sum() - len(bad) * len(bad) / 2
    return float(above / (len(good) * len(bad)))


def judge(predict):
    """The figures of a predictor on groups of boards it never saw, beside two trivial ones.
    `predict` gives the probability of a defect for tiles."""
    learned, learned_truth, *_ = tiles(False)
    images, truth, kinds, cleaned, _ = tiles(True)
    inspected = ~truth & ~cleaned
    probability = predict(images)
    told = probability >= THRESHOLD
    sign, bound = darkness_bound(learned, learned_truth)
    by_brightness = sign * images.mean(axis=(1, 2)) > sign * bound
    figures = {
        "tiles_trained": len(learned),
        "tiles_judged": len(images),
        "accuracy": np.mean(told == truth),
        "accuracy_brightness": np.mean(by_brightness == truth),
        "accuracy_constant": max(np.mean(truth), 1 - np.mean(truth)),
        "roc_auc": roc_auc(probability[~truth], probability[truth]),
        "roc_auc_inspected": roc_auc(probability[inspected], probability[truth]),
        "roc_auc_template": roc_auc(probability[cleaned], probability[truth]),
        "inspected_good": np.sum(inspected),
        "template_good": np.sum(cleaned),
        "good_without_an_edge": np.mean(images[~truth].std(axis=(1, 2)) < FLAT),
        "inspected_good_called_defective": np.mean(told[inspected]),
        "template_good_called_defective": np.mean(told[cleaned]),
        "defects_found": np.mean(told[truth]),
    }
    for kind, name in enumerate(KINDS):
        if kind:
            figures[f"found_{name.replace(' ', '_')}"] = np.mean(told[kinds == kind])
    return {name: round(float(value), 4) for name, value in figures.items()}
