"""Tiles of printed circuit boards with and without a defect: cutting, splitting, judging."""

import numpy as np
from PIL import Image

from . import turbofan

SIDE = 64
LABELS = ["good", "defective"]
KINDS = ["", "open", "short", "mousebite", "spur", "spurious copper", "pin hole"]
# Boards of one group (the first five digits) are alike: whole groups are kept for judging.
HELD_OUT = ["13000", "77000"]
# How far a tile's middle may lie from the place in question, pixels.
OFF_MAX = 6
TILES_PER_DEFECT = 2
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


def tiles(held_out):
    """Tiles around each defect, and the same places of the template, where there is none: tiles,
    whether defective, kind (0: none), and the name of each."""
    chance = np.random.default_rng(SEED + held_out)
    found, kinds, names = [], [], []
    for name, inspected, template, boxes in boards():
        if name.startswith(tuple(HELD_OUT)) != held_out:
            continue
        for x1, y1, x2, y2, kind in boxes:
            for _ in range(TILES_PER_DEFECT):
                off = chance.integers(-OFF_MAX, OFF_MAX + 1, 2)
                middle = np.array([x1 + x2, y1 + y2]) // 2 + off
                x, y = np.clip(middle - SIDE // 2, 0, 640 - SIDE)
                for image, of in [(inspected, kind), (template, 0)]:
                    found.append(image[y : y + SIDE, x : x + SIDE])
                    kinds.append(of)
                    names.append(f"board {name}; x {x}; y {y}; kind {of}")
    kinds = np.array(kinds)
    return np.array(found), kinds > 0, kinds, names


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
    learned, learned_truth, _, _ = tiles(False)
    images, truth, kinds, _ = tiles(True)
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
        "good_called_defective": np.mean(told[~truth]),
        "defects_found": np.mean(told[truth]),
    }
    for kind, name in enumerate(KINDS):
        if kind:
            figures[f"found_{name.replace(' ', '_')}"] = np.mean(told[kinds == kind])
    return {name: round(float(value), 4) for name, value in figures.items()}
