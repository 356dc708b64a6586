"""Writes the table in docs/dicom.md: what becomes of every file of pydicom's two collections. Run by `make golden`."""

from dataclasses import dataclass
from pathlib import Path

import pydicom

import dicom_reference
from heclstm.data.dicom import Selection, read_dicom
from heclstm.errors import HeclstmError

PAGE = Path(__file__).parents[2] / "docs" / "dicom.md"
HEAD = "| file | pixels | frames | order | greys |\n|---|---|---|---|---|\n"
NO_WINDOW = "no window: own range"


def page():
    """(what stands before the table, the table as it is in the file)"""
    text = PAGE.read_text()
    before, _, table = text.partition(HEAD)
    return before, table


@dataclass(frozen=True)
class Read:
    """What is told of a file that was read."""

    frames: int
    order: str
    notes: tuple[str, ...]

    @classmethod
    def of(cls, shown):
        return cls(len(shown.frames), shown.order.reason, tuple(shown.notes))


def read(path):
    return Read.of(read_dicom(path, Selection(burnt_in="accept")))


def rows(read=read):
    """One for each file; no value of a file but its form."""
    return [row(name, path, read) for name, path in dicom_reference.files().items()]


@dicom_reference.quiet
def row(name, path, read):
    data_set = pydicom.dcmread(path, stop_before_pixels=True)
    syntax = data_set.file_meta.get("TransferSyntaxUID")
    form = f"{syntax.name if syntax else 'no transfer syntax'}; {data_set.get('PhotometricInterpretation', 'none')}"
    try:
        shown = read(path)
    except HeclstmError as error:
        reason = str(error).removeprefix(f"{path}: ").removeprefix("no image: ")
        return f"| {name} | {form} | | | refused: {reason} |"
    said = "; ".join(NO_WINDOW if note.startswith("no window") else note.split(":")[0] for note in shown.notes)
    bits = f"{data_set.BitsStored} of {data_set.BitsAllocated} bits"
    return f"| {name} | {form}, {bits} | {shown.frames} | {shown.order} | {said or 'as the file asks'} |"


def main():
    before, _ = page()
    PAGE.write_text(before + HEAD + "\n".join(rows()) + "\n")


if __name__ == "__main__":
    main()
