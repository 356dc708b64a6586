"""Files as they lie in folders and archives → sources that can be read, each for what its first bytes say it is.

An ending proves nothing: a PACS writes none, and a mail program renames. Devices, pipes and links to them are
refused before they are opened; nothing is unpacked to disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

from heclstm.data.budget import ARCHIVE_BYTES_MAX, FILE_BYTES_MAX, FILES_MAX, FOLDERS_DEEP_MAX
from heclstm.errors import FileFormatError
from heclstm.storage.archive import opened_archive

HEAD_BYTES = 132 + 8
# What systems leave in folders without being asked.
LITTER = ("thumbs.db", "desktop.ini", "ehthumbs.db", "picasa.ini", "__macosx", "@eadir")
# Images, clips, archives and unfinished transfers that nothing here reads: they might be frames, so they are never
# passed over.
OTHER_IMAGES = re.compile(
    r"\.(tiff?|bmp|gif|webp|jp2|j2k|jpf|jxl|heic|heif|avif|nii|nrrd|nhdr|mha|mhd|mp4|m4v|mov|avi|mpe?g|mkv|wmv|webm"
    r"|p[bgnp]m|tga|pcx|psd|cr2|cr3|nef|arw|jfif|jpe|7z|rar|tar|tgz|icloud"
    r"|(nii|png|jpe?g|dcm|dicom|ima|tar)\.(gz|bz2|xz|zst|part|partial|crdownload|tmp|download|filepart|icloud|lnk))$",
    re.IGNORECASE,
)
OTHER_STARTS = (
    b"II*\x00", b"MM\x00*", b"GIF8", b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51", b"8BPS", b"\x1aE\xdf\xa3",
)  # fmt: skip
# What a data set begins with where the preamble of a DICOM file was lost: an element of group 2 or 8.
BARE_DICOM = re.compile(rb"(\x02\x00|\x08\x00)[\x00-\x20]\x00([A-Z]{2}|.\x00\x00\x00)", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """One file. member: its name in the archive `path`, or "" where it lies on disk."""

    path: Path
    member: str = ""
    content: bytes | None = field(default=None, repr=False, compare=False)
    seen: list[tuple[int, ...]] = field(default_factory=list, repr=False, compare=False)  # what lay there, once opened

    def __str__(self) -> str:
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Without its folder."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.member).parent) if self.member else str(self.path.parent)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Raises FileFormatError for what is no file, too large or unreadable; and for a file that is another one than
        when it was opened before, or becomes one meanwhile: its header and its pixels would be of two.
        """
        if self.content is not None:
            yield BytesIO(self.content)
            return
        require_regular(self.path)
        try:
            stream = self.path.open("rb")
        except OSError as error:
            raise FileFormatError(f"{self}: no image: cannot be read ({error.strerror})") from error
        with stream:
            self._require_same(stream)
            yield stream
            self._require_same(stream)

    def _require_same(self, stream: IO[bytes]) -> None:
        status = os.fstat(stream.fileno())
        self.seen.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
        if len(set(self.seen)) > 1:
            raise FileFormatError(f"{self}: changed while it was read; wait until it is whole, and hand it in again")
        del self.seen[1:]

    def read(self) -> bytes:
        with self.open() as stream:
            return stream.read()

    def head(self) -> bytes:
        with self.open() as stream:
            return stream.read(HEAD_BYTES)


@dataclass(frozen=True)
class Origin:
    """Where a frame was read from. frame: which one of its file, counted from 0."""

    source: Source
    frame: int


@dataclass(frozen=True)
class Found:
    """What an input holds, by kind. notes: what was passed over, in words."""

    pictures: tuple[Source, ...]
    dicom: tuple[Source, ...]
    notes: tuple[str, ...] = ()


def sha256_of(source: Source) -> str:
    """Of the file as it lies there, in hex. Raises FileFormatError."""
    with source.open() as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def is_there(path: Path) -> bool:
    """Whether something lies there. What no file can be called, or may not be looked at, does not."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, a folder of others, a zero byte
        return False


def is_folder(path: Path) -> bool:
    """As `is_there`."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def require_regular(path: Path) -> None:
    """Raise FileFormatError unless this is a file, or a link to one, of a size that is read."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise FileFormatError(f"{path}: no image: cannot be read ({reason})") from error
    if stat.S_ISDIR(status.st_mode):
        raise FileFormatError(f"{path}: no image: is a folder, expected a file")
    if not stat.S_ISREG(status.st_mode):
        raise FileFormatError(f"{path}: no image: is a device or pipe, expected a file")
    if status.st_size > FILE_BYTES_MAX:
        raise FileFormatError(f"{path}: got {status.st_size} bytes, expected at most {FILE_BYTES_MAX}")


def kind_of(source: Source) -> str:
    """ "picture", "dicom", "zip", "bare" (DICOM without its preamble), "image" (of another kind) or "" for none."""
    head = source.head()
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "picture"
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if OTHER_IMAGES.search(source.name) or head.startswith(OTHER_STARTS) or _is_other(head):
        return "image"
    return "bare" if BARE_DICOM.match(head) else ""


def _is_other(head: bytes) -> bool:
    """Containers that name their kind behind their size: WebP and AVI, films of MPEG-4, HEIC and AVIF; and bitmaps."""
    bitmap = head[:2] == b"BM" and head[6:10] == bytes(4)
    return bitmap or head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"AVI "))


def find(inputs: Sequence[Path]) -> Found:
    """Everything in these files, folders and archives. A file that was named must be an image; one that lies in a
    folder or archive beside images is passed over with a note, unless it may be a frame.

    Raises FileFormatError.
    """
    holders = [path for path in inputs if _holds_others(path)]
    named = [Source(path) for path in inputs if path not in holders]
    inside = [source for path in holders for source in _files_in(path)]
    return sort_out(named, [source for source in inside if not is_litter(source)])


def sort_out(named: Sequence[Source], inside: Sequence[Source] = ()) -> Found:
    """By kind."""
    pictures: list[Source] = []
    dicom: list[Source] = []
    passed: list[Source] = []
    for place, source in enumerate([*named, *inside]):
        match kind_of(source):
            case "picture":
                pictures.append(source)
            case "dicom":
                dicom.append(source)
            case "bare":
                raise FileFormatError(f"{source}: no image: not a DICOM file: its preamble is missing; export it again")
            case "image":
                raise FileFormatError(f"{source}: no image: of a kind that is not read; convert it to PNG or DICOM")
            case "" if place >= len(named) and not looks_like_an_image(source.name):
                passed.append(source)
            case _:
                raise not_an_image(source)
    nameless = {source.folder for source in dicom if _without_ending(source) and source.name.upper() != "DICOMDIR"}
    if suspect := [source for source in passed if _without_ending(source) and source.folder in nameless]:
        raise FileFormatError(f"{suspect[0]}: no image: not a DICOM file, as others without an ending beside it are")
    names = sorted(source.name for source in passed)
    notes = (f"{len(names)} files beside are no images: {some(names)}",) if names else ()
    return Found(tuple(pictures), tuple(dicom), notes)


def _without_ending(source: Source) -> bool:
    return not re.search(r"\.[A-Za-z]\w*$", source.name)


def looks_like_an_image(name: str) -> bool:
    return name.lower().endswith((".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".ima"))


def not_an_image(source: Source) -> FileFormatError:
    ending = PurePosixPath(source.name).suffix.lower()
    if ending in (".dcm", ".dicom", ".ima"):
        return FileFormatError(f"{source}: no image: not a DICOM file")
    if ending in (".png", ".jpg", ".jpeg"):
        return FileFormatError(f"{source}: no image: not readable as PNG or JPEG")
    return FileFormatError(
        f"{source}: no image: got the ending {ending or 'none'}, expected .npy, .npz, PNG, JPEG, DICOM, a .zip or "
        "folder of such files, or a manifest (.csv)"
    )


def is_litter(source: Source) -> bool:
    """Hidden files, and what file managers leave behind."""
    parts = PurePosixPath(source.member).parts if source.member else (source.name,)
    if parts and parts[-1].lower().endswith(".icloud"):
        return False  # .IM3.icloud: an image, perhaps, that is not on this machine yet
    return any(part.startswith(".") or part.lower() in LITTER for part in parts)


def files_below(folder: Path) -> list[Source]:
    """All files in a folder and the folders in it; links to folders, which may go anywhere, are refused."""
    found: list[Source] = []
    for place, folders, names in os.walk(folder, onerror=_cannot_be_read):
        if len(Path(place).relative_to(folder).parts) >= FOLDERS_DEEP_MAX:
            raise FileFormatError(
                f"{folder}: holds folders more than {FOLDERS_DEEP_MAX} deep; give the one of a series"
            )
        if links := [name for name in sorted(folders) if (Path(place) / name).is_symlink()]:
            raise FileFormatError(
                f"{Path(place) / links[0]}: is a link to a folder; give that folder, or remove the link"
            )
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name.lower() not in LITTER)
        found += [Source(Path(place) / name) for name in sorted(names)]
        if len(found) > FILES_MAX:
            raise FileFormatError(f"{folder}: holds more than {FILES_MAX} files; give the folder of one patient")
    return found


def _cannot_be_read(error: OSError) -> None:
    raise FileFormatError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _holds_others(path: Path) -> bool:
    return is_folder(path) or path.suffix.lower() == ".zip" or kind_of(Source(path)) == "zip"


def _files_in(path: Path) -> list[Source]:
    return files_below(path) if path.is_dir() else _members(path)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    require_regular(path)
    try:
        with path.open("rb") as stream, opened_archive(stream, str(path)) as archive:
            yield archive
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, EOFError, NotImplementedError) as error:
        raise FileFormatError(f"{path}: no image: not readable as a zip archive ({type(error).__name__})") from error


def _members(path: Path) -> list[Source]:
    """The files of an archive, unpacked in memory, since a series is read more than once."""
    with _archive(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        members = [member for member in members if not is_litter(Source(path, member.filename))]
        if len(members) > FILES_MAX:
            raise FileFormatError(f"{path}: holds more than {FILES_MAX} files")
        if (size := sum(member.file_size for member in members)) > ARCHIVE_BYTES_MAX:
            raise FileFormatError(f"{path}: unpacks to {size} bytes, expected at most {ARCHIVE_BYTES_MAX}")
        return [_unpacked(archive, member, Source(path, member.filename)) for member in members]


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: Source) -> Source:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
        raise FileFormatError(f"{source}: is encrypted, or compressed in an unusual way; pack the archive again")
    try:
        with archive.open(member) as stream:
            content = stream.read(member.file_size + 1)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, zlib.error, RuntimeError) as error:
        raise FileFormatError(f"{source}: no image: its archive is damaged ({type(error).__name__})") from error
    if len(content) != member.file_size:
        raise FileFormatError(f"{source}: no image: its archive gives it another size than it has")
    return replace(source, content=content)


def some(names: Sequence[str], count: int = 5) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def where_are(sources: Sequence[Source]) -> str:
    """What an error about all of them begins with."""
    first = sources[0]
    return str(first) if len(sources) == 1 else (str(first.path) if first.member else first.folder)
