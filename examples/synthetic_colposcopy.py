"""Writes a folder of SYNTHETIC colposcopy pictures with its manifest, to try docs/your-data.md without any patient.

    synthetic/manifest.csv      sequence,patient,seconds,file,label
    synthetic/s001/0s.png …     three or four pictures of each sequence, one minute apart
    synthetic/s002/…

The pictures are drawn by `heclstm.data.datasets.acetowhitening`; they have no clinical meaning.
"""

import csv
import sys
from pathlib import Path

from PIL import Image

from heclstm.data.datasets import load_dataset

SEQUENCES = 480
SHORTER = 7  # each seventh sequence ends one picture early, positive and negative ones alike


def main(folder: Path) -> None:
    options = {"train": SEQUENCES, "frames": 4, "size": 48, "single_frame_auc": 0.75}
    drawn = load_dataset("acetowhitening", options=options).train
    lines = []
    for row, (frames, label) in enumerate(zip(drawn.images, drawn.labels, strict=True), start=1):
        name = f"s{row:03}"
        (folder / name).mkdir(parents=True, exist_ok=True)
        for minute, frame in enumerate(frames[:-1] if row % SHORTER == 0 else frames):
            file = f"{name}/{60 * minute}s.png"
            Image.fromarray(frame.transpose(1, 2, 0)).save(folder / file)
            lines.append([name, f"patient-{row:03}", 60 * minute, file, int(label)])
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["sequence", "patient", "seconds", "file", "label"])
        table.writerows(lines)
    print(f"{folder}: {len(lines)} synthetic pictures of {SEQUENCES} sequences, and manifest.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "synthetic"))
