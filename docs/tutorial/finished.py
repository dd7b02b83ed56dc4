"""A model that was trained elsewhere, as the tutorial has it: with PyTorch alone.

finished.py FOLDER trains the network of the tutorial on four fifths of the spots in
FOLDER/photographs/train, and writes FOLDER/release.pth and the list FOLDER/members.txt.
"""

import re
import sys
from pathlib import Path

import numpy as np
import torch
from network import build
from PIL import Image
from torch.nn.functional import cross_entropy

EPOCHS, BATCH_SIZE = 30, 16


def main(folder: Path) -> None:
    """Choose the members, train, and save."""
    root = folder / "photographs"
    paths = sorted((root / "train").rglob("*.png"))
    classes = sorted({path.parent.name for path in paths})
    spots = sorted({re.match("[a-z]+[0-9]+", path.name)[0] for path in paths})
    random = np.random.default_rng(0)
    chosen = set(random.permutation(spots)[: 4 * len(spots) // 5])
    members = [path for path in paths if re.match("[a-z]+[0-9]+", path.name)[0] in chosen]
    listed = [path.relative_to(root).as_posix() for path in members]
    (folder / "members.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")

    size = (32, 32)
    pixels = np.stack([np.asarray(Image.open(p).resize(size, Image.BICUBIC)) for p in members])
    inputs = (torch.from_numpy(pixels).movedim(-1, 1) / 255 - 0.5) / 0.25
    labels = torch.tensor([classes.index(path.parent.name) for path in members])

    torch.manual_seed(0)
    network = build((3, *size), len(classes), width=8)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    steps = len(members) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, EPOCHS * steps)
    for _ in range(EPOCHS):
        order = torch.from_numpy(random.permutation(len(members)))
        for rows in order[: steps * BATCH_SIZE].split(BATCH_SIZE):
            optimizer.zero_grad()
            cross_entropy(network(inputs[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    torch.save(network.state_dict(), folder / "release.pth")
    print(f"{folder / 'release.pth'}: trained on {len(members)} of {len(paths)} images")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
