"""Small data sets on disk with their real names and forms: (folder) → the path that `load_dataset` takes."""

import csv
import struct
import zlib

import numpy as np
from PIL import Image

BREAKHIS_TYPES = {
    "A": ("B", "benign", "adenosis"),
    "F": ("B", "benign", "fibroadenoma"),
    "DC": ("M", "malignant", "ductal_carcinoma"),
    "LC": ("M", "malignant", "lobular_carcinoma"),
}
MAGNIFICATIONS = (40, 100, 200, 400)
# 22549AB and 22549CD are two slides of one patient; 13412 stands under two types.
BREAKHIS_SLIDES = [
    *(("A", "14", number) for number in ("22549AB", "22549CD", "29960CD", "21998EF")),
    *(("F", "14", number) for number in ("9133", "14134", "25197", "23060AB")),
    *(("DC", "14", number) for number in ("2523", "2773", "8168", "13412")),
    *(("LC", "14", number) for number in ("13412", "12204", "15570", "16196")),
]


def picture(path, seed=0, size=(20, 24), mode="RGB"):
    """Write a random picture; its seed makes its content."""
    rng = np.random.default_rng(seed)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,)}[mode]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, *channels), dtype=np.uint8)).save(path)
    return path


def png16(path, pixels, *, colour_type):
    """Write 16-bit samples, which Pillow cannot with more than one channel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))
    return path


def breakhis_file(root, kind, year, slide, magnification, number):
    letter, side, name = BREAKHIS_TYPES[kind]
    folder = root / "BreaKHis_v1" / "histology_slides" / "breast" / side / "SOB" / name
    file = f"SOB_{letter}_{kind}-{year}-{slide}-{magnification}-{number:03}.png"
    return folder / f"SOB_{letter}_{kind}_{year}-{slide}" / f"{magnification}X" / file


def breakhis(root, slides=BREAKHIS_SLIDES, pictures=1):
    for index, (kind, year, slide) in enumerate(slides):
        for magnification in MAGNIFICATIONS:
            for number in range(1, pictures + 1):
                seed = index * 10**6 + magnification * 100 + number
                picture(breakhis_file(root, kind, year, slide, magnification, number), seed)
    return root


def write_table(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([columns, *rows])
    return path


def colposcopy(root, sequences=10, column="label"):
    """Patients with one sequence of 2 to 5 pictures each, listed in a mixed order."""
    rows = []
    for number in range(sequences):
        for time in range(2 + number % 4):
            file = f"p{number}/{time}.png"
            picture(root / file, 1000 * number + time, mode="RGB" if number % 3 else "L")
            rows.append([f"s{number}", f"p{number}", 30 * time, file, number % 2])
    return write_table(root / "manifest.csv", ["sequence", "patient", "seconds", "file", column], rows[::-1])


def annocerv(root):
    path = colposcopy(root, column="swede_score")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(line[:-1] + str(2 + 4 * int(line[-1])) for line in lines[1:])]))
    return root


def clips(root, patients=5):
    for label, name in enumerate(("negative", "positive")):
        for number in range(patients):
            for clip in range(1 + number % 2):
                for frame in range(3 + clip):
                    seed = (((label * 100) + number) * 10 + clip) * 100 + frame
                    picture(root / name / f"patient-{label}{number}" / f"clip-{clip}" / f"{frame}.png", seed, mode="L")
    return root


def medmnist3d(root):
    rng = np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", 6), ("val", 4), ("test", 4)):
        arrays[f"{name}_images"] = rng.integers(0, 256, (count, 6, 6, 6), dtype=np.uint8)
        arrays[f"{name}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(root / "small.npz", **arrays)
    return root / "small.npz"


def dicom(path, pixels, *, patient="p", number=1, **tags):
    """Write (frames, height, width) or (frames, height, width, 3), uint8 or uint16, as a multi-frame file."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.PatientID, dataset.InstanceNumber = patient, number
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape[:3]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    if pixels.ndim == 4:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def visual_fields(root, persons=12, visits=3, change=-3.0):
    """Both eyes of every other person; the positive series lose `change` dB a visit in the upper half."""
    rng = np.random.default_rng(0)
    eyes = [(person, eye) for person in range(1, persons + 1) for eye in ("R", "L")[: 1 + person % 2]]
    header = ["id", "person", "eye", "visit", *(f"vf.{point}" for point in range(1, 53))]
    for name, slope in (("reliable.csv", change), ("stable_reliable.csv", 0.0)):
        rows = []
        for number, (person, eye) in enumerate(eyes, start=1):
            first = rng.integers(15, 32, 52)
            for visit in range(1, visits + 1):
                course = np.where(np.arange(52) < 26, slope * (visit - 1), 0.0)
                rows.append([number, person, eye, visit, *np.rint(first + course + rng.normal(size=52)).astype(int)])
        root.mkdir(parents=True, exist_ok=True)
        with (root / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
    return root
