"""Write the seeds anew: small files of every kind that strangers send.

PYTHONPATH=src:tests python -m hostile.fuzz.make_corpus
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import dicom_kit
from heclstm.backend.cpu.keyset import KeySet
from heclstm.backend.cpu.secret import Encryptor, KeyGenerator
from heclstm.deploy.case import Case
from heclstm.program.public import save_card
from heclstm.storage.container import Header, Kind, Message
from hostile.fuzz.targets import CORPUS, LEVEL, context
from tiny_program import tiny_program

GOLDEN = Path(__file__).parents[2] / "golden"


def main() -> None:
    shutil.rmtree(CORPUS, ignore_errors=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for write in (containers, cards, arrays, images, native):
            write(folder)


def seed(target: str, name: str, content: bytes) -> None:
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(content)


def containers(folder: Path) -> None:
    card = tiny_program().card
    pins = card.field_digests()
    for kind, query, pinned in ((1, "", pins), (2, "", pins), (3, "c" * 32, {}), (4, "c" * 32, {})):
        blobs = [(f"blob {number}", 16) for number in range(3)]
        message = Message(Header(Kind(kind), card.digest, "b" * 32, tuple(blobs), query, pinned), [bytes(16)] * 3)
        stream = io.BytesIO()
        message.write(stream)
        seed("container", Kind(kind).name.lower(), stream.getvalue())


def cards(folder: Path) -> None:
    save_card(tiny_program().card, folder / "program.json")
    seed("card", "version_2.json", json.dumps(json.loads((folder / "program.json").read_bytes())).encode())
    seed("card", "version_1.json", (GOLDEN / "program_v1" / "program.json").read_bytes())
    facts = {
        "order": "by names",
        "name": "somebody",
        "envelope": "outside",
        "outside": ("too bright",),
        "override": "x",
    }
    labels = {"program": "a" * 64, "key": "b" * 32, "query": "c" * 32, "images": "d" * 64}
    case = Case(**labels, frames=2, **facts)
    seed("case", "version_1.json", json.dumps(case.to_json()).encode())
    seed("diagnosis", "version_1.json", (GOLDEN / "hospital_v1" / "diagnosis.json").read_bytes())


def arrays(folder: Path) -> None:
    for name, array in (
        ("bytes", np.arange(24, dtype=np.uint8)),
        ("floats", np.zeros((2, 3, 4), "<f4")),
        ("order", np.asfortranarray(np.ones((3, 2)))),
    ):
        stream = io.BytesIO()
        np.save(stream, array)
        seed("npy", name, stream.getvalue())
    for name, save in (("stored", np.savez), ("deflated", np.savez_compressed)):
        stream = io.BytesIO()
        save(stream, images=np.arange(24, dtype=np.uint8).reshape(2, 3, 4), labels=np.array([0, 1]))
        seed("npz", name, stream.getvalue())


def images(folder: Path) -> None:
    grey = dicom_kit.ramp(0, 4000, size=(2, 3))
    window = {"WindowCenter": "2000", "WindowWidth": "3000", "RescaleSlope": "1", "RescaleIntercept": "-24"}
    shared = dicom_kit.item(PlaneOrientationSequence=[dicom_kit.item(ImageOrientationPatient=dicom_kit.AXIAL)])
    group = dicom_kit.item(
        FrameContentSequence=[dicom_kit.item(DimensionIndexValues=[1, 2])],
        PlanePositionSequence=[dicom_kit.item(ImagePositionPatient=[0, 0, 1])],
        FrameVOILUTSequence=[dicom_kit.item(WindowCenter="3", WindowWidth="9")],
    )
    several = {"PerFrameFunctionalGroupsSequence": [group] * 2, "SharedFunctionalGroupsSequence": [shared]}
    nobody = dict.fromkeys(("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID"))
    for name, pixels, tags in (
        ("plain", grey, {"PatientID": "marked-id", "PatientName": "Marked^Name", "InstanceNumber": 7, **window}),
        ("enhanced", np.stack([grey, grey]), nobody | several),
        ("table", grey, nobody | {"VOILUTSequence": [dicom_kit.table(range(8), bits=8)]}),
        ("colour", np.zeros((5, 4, 3), np.uint8), nobody | {"PixelSpacing": [1, 2]}),
    ):
        made = dicom_kit.data_set(pixels, **tags)
        for element in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID"):  # nothing reads it: time for others
            del made.file_meta[element]
        made.save_as(folder / name)
        seed("dicom", name, (folder / name).read_bytes())


def native(folder: Path) -> None:
    generator, level = KeyGenerator(context()), LEVEL + 1
    secret = generator.secret_key()
    encryptor = Encryptor(context(), secret)
    for seeded in (True, False):
        blob = encryptor.encrypt(np.zeros(context().parameters.slots), level=level, seeded=seeded)
        seed("ciphertext", "seeded" if seeded else "full", blob)
    keys = {
        "relinearization": generator.relinearization_key(secret, level),
        "rotation": generator.rotation_key(secret, 3, 2),
    }
    loaded = KeySet(context())
    for name, blob in keys.items():
        seed("evaluation_key", name, blob)
        loaded.load(blob)
    loaded.save(folder / "keys", b"note")
    seed("key_file", "two", (folder / "keys").read_bytes())
    seed("secret", "ternary", bytes(secret.serialize()))


if __name__ == "__main__":
    main()
