"""DICOMDIR → the image files that it lists, which lie beside it."""

from __future__ import annotations

from pathlib import Path

from heclstm.data.dicom.library import guarded, read_header
from heclstm.data.dicom.values import items, text
from heclstm.data.sources import Source, require_regular
from heclstm.errors import FileFormatError


def listed_in(source: Source) -> list[Source]:
    """Raises FileFormatError where it lists files that are absent, or that do not lie below its folder."""
    dataset, _ = read_header(source)
    folder, found, absent = source.path.parent, [], 0
    with guarded(source, "its list of files cannot be read"):
        for record in items(dataset, "DirectoryRecordSequence"):
            if text(record, "DirectoryRecordType") != "IMAGE":
                continue
            value = record.get("ReferencedFileID")
            parts = [str(part) for part in ([value] if isinstance(value, str) else value or ())]
            if not parts or any(part in ("", ".", "..") or "/" in part or "\\" in part for part in parts):
                raise FileFormatError(f"{source}: lists a file that does not lie below its folder")
            path = _present(folder, parts)
            if path is None:
                absent += 1
            else:
                found.append(Source(path))
    if absent or not found:
        raise FileFormatError(
            f"{source}: lists {len(found) + absent} images, of which {absent} are not there; copy the whole medium"
        )
    return found


def _present(folder: Path, parts: list[str]) -> Path | None:
    """Some systems write the names of a medium in small letters."""
    for names in (parts, [part.lower() for part in parts]):
        path = folder.joinpath(*names)
        if path.exists():
            require_regular(path)
            return path
    return None
