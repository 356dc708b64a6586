"""Many patients in one call: what is loaded is loaded once, and one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from heclstm.errors import Cancelled, HeclstmError, InputError, ResourceError
from heclstm.usecases.events import Events, Update


class ToJson(Protocol):
    def to_json(self) -> dict[str, Any]: ...


Made = TypeVar("Made", bound=ToJson, covariant=True)


@dataclass(frozen=True)
class Outcome(Generic[Made]):
    """item: which input. made: what came of it; None if it failed, or was there already (`kept`)."""

    item: str
    made: Made | None = None
    error: Exception | None = None
    kept: Path | None = None

    @property
    def failed(self) -> bool:
        return self.error is not None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"input": self.item}
        if self.error is not None:
            return data | {"error": {"kind": type(self.error).__name__, "message": str(self.error)}}
        return data | ({"kept": str(self.kept)} if self.made is None else self.made.to_json())


def attempt(item: str, work: Callable[[], Made], events: Events) -> Outcome[Made]:
    """What `work` makes, or why not, which is told. What would fail for all others, too, passes through."""
    try:
        return Outcome(item, work())
    except (Cancelled, ResourceError):
        raise
    except (HeclstmError, OSError) as error:
        events.note(f"failed: {item}: {error}")
        return Outcome(item, error=error)


@dataclass(frozen=True)
class Told:
    """Events of one of many. item: put before each remark, where it says; else each remark is made once."""

    events: Events
    item: str = ""
    heard: set[str] = field(default_factory=set)

    def stage(self, title: str) -> AbstractContextManager[Update]:
        return self.events.stage(title)

    def note(self, text: str) -> None:
        if self.item:
            self.events.note(f"{self.item}: {text}")
        elif text not in self.heard:
            self.heard.add(text)
            self.events.note(text)


@dataclass(frozen=True)
class Alike:
    """Notices what is handed in for two patients, as a folder that was copied and not filled anew."""

    events: Events
    _first: dict[str, tuple[Hashable, str]] = field(default_factory=dict)

    def look(self, item: str, images: str, patient: Hashable = None) -> None:
        """images: digest of those that are prepared. patient: tells apart who have one name. Threads may share it."""
        whose = patient or item
        first, other = self._first.setdefault(images, (whose, item))
        if first != whose:
            self.events.note(f"warning: {item}: shows the same images as {other}, pixel by pixel")


def named(inputs: Iterable[Path], folder: Path, ending: str) -> dict[Path, Path]:
    """input → its file in the folder, of the same name with another ending. Raises InputError if two would be one."""
    files: dict[Path, Path] = {}
    for path in inputs:
        files[path] = folder / f"{path.name.removesuffix('.he').removesuffix('.result')}{ending}"
    twice = [path for path in files if list(files.values()).count(files[path]) > 1]
    if twice:
        raise InputError(f"{twice[0]} and {twice[1]}: would both become {files[twice[0]]}; rename one")
    return files
