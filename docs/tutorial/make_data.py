"""Make the data of the tutorial, from what comes with scikit-learn.

    python docs/tutorial/make_data.py FOLDER

FOLDER/photographs has pieces of two photographs, a temple and a flower, as a folder of images. The
classes are the quarters of each. Four pieces are of each spot and overlap; those of different spots
do not. Names of files begin with that of the spot.
FOLDER/patients.csv has the measurements of 569 tumours, one a row (Wolberg et al. 1995).
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_sample_image

SIDE = 40  # pixels of a piece
SHIFT = 4  # between two pieces of one spot, which overlap
PHOTOGRAPHS = {"temple": "china.jpg", "flower": "flower.jpg"}


def main(folder: Path) -> None:
    """Write both data sets."""
    for name, file in PHOTOGRAPHS.items():
        cut(load_sample_image(file), name, folder / "photographs")
    table = load_breast_cancer(as_frame=True).frame
    outcome = table.pop("target").map({0: "malignant", 1: "benign"})
    table.insert(0, "patient", [f"P{number:03}" for number in range(1, len(table) + 1)])
    table.insert(1, "outcome", outcome)
    table.to_csv(folder / "patients.csv", index=False)


def cut(photograph: np.ndarray, name: str, folder: Path) -> None:
    """Save four overlapping pieces of each spot of a photograph; every fifth spot is a test."""
    height, width, _ = photograph.shape
    spots = [
        (top, left)
        for top in range(0, height - SIDE - SHIFT, SIDE + SHIFT)
        for left in range(0, width - SIDE - SHIFT, SIDE + SHIFT)
    ]
    for number, (top, left) in enumerate(spots):
        part = "test" if number % 5 == 4 else "train"
        side = ("upper" if top < height / 2 else "lower", "left" if left < width / 2 else "right")
        place = folder / part / "_".join([name, *side])
        place.mkdir(parents=True, exist_ok=True)
        for piece in range(4):
            first, begin = top + SHIFT * (piece // 2), left + SHIFT * (piece % 2)
            pixels = photograph[first : first + SIDE, begin : begin + SIDE]
            Image.fromarray(pixels).save(place / f"{name}{number:03}_{piece}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
