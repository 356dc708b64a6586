"""Where each frame of a DICOM file stands, and the order of a series that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median_low
from typing import Any

import numpy as np

from heclstm.data.dicom.library import Dataset
from heclstm.data.dicom.times import DAY, SECOND, Clock, shifts_of, time_of
from heclstm.data.dicom.values import floats, groups, items, of_frame, text, whole
from heclstm.data.order import REMEDY, Order, Rule, decide
from heclstm.data.sources import Source
from heclstm.errors import SequenceError

ALIGNED = 1e-3  # unit directions that differ by less are one
ACROSS = 0.9  # cosine of two normals, of which less is another direction: 26 degrees
SHIFTED = 1.0  # millimetres beside the normal, above what rounding and a couch do
# What nuclear medicine counts frames by (PS3.3 C.8.4.8), the slowest first.
VECTORS = (
    "EnergyWindowVector", "DetectorVector", "PhaseVector", "RotationVector", "RRIntervalVector", "TimeSlotVector",
    "AngularViewVector", "SliceVector", "TimeSliceVector",
)  # fmt: skip
HUNDREDTHS = 2  # positions are compared in hundredths of a millimetre
SLICES, DIMENSIONS = "by slice position along the normal", "by dimension index"
TIMES = "by acquisition time"
BACKWARDS = (SLICES, DIMENSIONS)  # a stack may be numbered from either end; time goes one way


@dataclass(frozen=True, repr=False)
class Part:
    """Of one object that was cut into several files (a concatenation). first: how many frames stand before it. number,
    count: of files.
    """

    whole: str
    first: int
    number: int
    count: int


@dataclass(frozen=True, repr=False)
class Place:
    """What is known of one frame; None where nothing is. normal, corner: of its plane, in millimetres. offset: along
    the normal, for a grid of doses. dimension: of an enhanced object, or what nuclear medicine counts frames by. time:
    microseconds; clock: what is known of it. trigger: milliseconds. number: of the file; frame: inside of it.
    temporal: its number in time. space: in which positions are told. across: the direction of its rows. slice: its
    number, where that is all. part: of a concatenation."""

    file: str
    frame: int
    number: int | None
    normal: tuple[float, ...] | None
    corner: tuple[float, ...] | None
    offset: float
    dimension: tuple[int, ...] | None
    time: int | None
    trigger: float | None
    temporal: int | None = None
    clock: Clock = Clock()
    space: str = ""
    across: tuple[float, ...] | None = None
    slice: float | None = None
    part: Part | None = None


def places_of(source: Source, dataset: Dataset, frames: int) -> tuple[Place, ...]:
    """The place of each frame."""
    number = whole(dataset, "InstanceNumber")
    orientation, position = "ImageOrientationPatient", "ImagePositionPatient"
    offsets = floats(dataset, "GridFrameOffsetVector")
    if offsets is None or len(offsets) != frames:
        offsets = (0.0,) * frames
    shifts = shifts_of(dataset, frames)

    zone = text(dataset, "TimezoneOffsetFromUTC")
    space = text(dataset, "FrameOfReferenceUID") or text(dataset, "VolumeFrameOfReferenceUID")
    part = _part(dataset)

    def place(frame: int) -> Place:
        directions = floats(of_frame(dataset, frame, "PlaneOrientationSequence", orientation), orientation)
        corner = floats(of_frame(dataset, frame, "PlanePositionSequence", position), position)
        for item in groups(dataset, frame, "PlaneOrientationVolumeSequence"):  # of ultrasound, in a frame of its own
            directions = directions or floats(item, "ImageOrientationVolume")
        for item in groups(dataset, frame, "PlanePositionVolumeSequence"):
            corner = corner or floats(item, "ImagePositionVolume")
        time, clock = time_of(dataset, frame, shifts, zone)
        return Place(
            str(source),
            frame,
            number,
            normal := _normal(directions),
            _corner(corner),
            offsets[frame],
            _dimension(dataset, frame),
            time,
            _trigger(dataset, frame),
            _temporal(dataset, frame),
            clock,
            space,
            directions[:3] if directions and normal else None,
            part=part,
        )

    if items(dataset, "PerFrameFunctionalGroupsSequence"):
        return tuple(place(frame) for frame in range(frames))
    first = place(0)  # what frames do not have for themselves is the same for all
    start = first.time if shifts else None
    counted = _counted(dataset, frames)
    layers = floats(dataset, "SliceVector") or ()
    return tuple(
        replace(
            first,
            frame=frame,
            offset=offsets[frame],
            time=None if start is None else start + shifts[frame] - shifts[0],
            dimension=counted[frame] if counted else first.dimension,
            slice=layers[frame] if len(layers) == frames else None,
        )
        for frame in range(frames)
    )


def order_of(places: Sequence[Place], where: str) -> Order:
    """The order of the frames of one series. Raises SequenceError where nothing in the files fixes it."""
    if len(places) == 1:
        return Order((0,), "one frame")
    _require_one_direction(places, where)
    positions = _positions(places)
    for stand in (positions, [place.slice for place in places]):
        if None not in stand and 1 < len(set(stand)) < len(stand):
            raise SequenceError(
                f"{where}: {len(places)} frames stand at {len(set(stand))} slice positions, so that several share one; "
                "give one volume or one time of them"
            )
    numbers = [None if place.number is None else (place.number, place.frame) for place in places]
    rules = [
        Rule(SLICES, positions),
        Rule(DIMENSIONS, [place.dimension for place in places]),
        Rule(TIMES, [place.time for place in places]),
        Rule("by trigger time", [place.trigger for place in places]),
        Rule("by temporal position", [place.temporal for place in places]),
    ]
    files = {place.file for place in places}
    if len(files) == 1:
        rules.append(Rule("as the file holds its frames", [place.frame for place in places]))
    rules.append(Rule("by its place in what was cut into files", [_place_in_whole(place) for place in places]))
    rules.append(Rule("by instance number", numbers))
    undecided = (
        f"nothing in these {len(files)} files fixes an order: their slice positions, times and instance numbers are "
        f"absent or the same; {REMEDY}"
    )
    order = decide(rules, where, undecided)
    if order.reason == TIMES:
        _require_one_clock(places, [numbers[row] for row in order.rows], where)
    return Order(order.rows, order.reason, tuple(_doubts(places, positions, numbers, order)))


def require_whole(places: Sequence[Place], where: str) -> None:
    """Raise SequenceError where some of the files that one object was cut into are missing."""
    for whole_of in {place.part.whole for place in places if place.part}:
        parts = {place.part for place in places if place.part and place.part.whole == whole_of}
        ends = {place.part.first + place.frame for place in places if place.part and place.part.whole == whole_of}
        count = max(part.count for part in parts)
        if ends != set(range(len(ends))) or (count and {part.number for part in parts} != set(range(1, count + 1))):
            raise SequenceError(
                f"{where}: holds {len(parts)} files of an object that was cut into {count or 'more'}, so that frames "
                "are missing; give all of them"
            )


def _place_in_whole(place: Place) -> tuple[str, int] | None:
    return (place.part.whole, place.part.first + place.frame) if place.part else None


def _require_one_direction(places: Sequence[Place], where: str) -> None:
    """Raise SequenceError for stacks of several directions in one series, such as axial and sagittal slices."""
    normals = [place.normal for place in places if place.normal]
    if normals and min(abs(float(np.dot(normals[0], normal))) for normal in normals) < ACROSS:
        raise SequenceError(
            f"{where}: frames of several directions, such as axial and sagittal slices; give those of one, or all of "
            "them in their order with --as-given"
        )


def _require_one_clock(places: Sequence[Place], told: Sequence[Any], where: str) -> None:
    """told: instance numbers in the order of the times. Raises SequenceError where times may be of several days or time
    zones, and the numbers do not say the same.
    """
    times = [place.time or 0 for place in places]
    confirmed = None not in told and list(told) == sorted(told)
    clocks = {place.clock for place in places}
    for what, doubtful in (
        ("of which some name their time zone and others none", len({clock.zoned for clock in clocks}) > 1),
        ("of which some tell minutes or seconds and others do not", len({clock.digits for clock in clocks}) > 1),
        ("that two elements of a file tell differently", not all(clock.agreed for clock in clocks)),
        ("of one second, of which some tell its parts and others do not", _share_a_second(places)),
    ):
        if doubtful and not confirmed:
            raise SequenceError(
                f"{where}: acquisition times {what}, and instance numbers do not confirm their order; {REMEDY}"
            )
    if min(times) > 4 * DAY:
        return
    apart = max(times) - min(times) > DAY // 2  # or some have a date and others none
    if apart and None in told or None not in told and not confirmed:
        raise SequenceError(
            f"{where}: acquisition times without a date, perhaps over midnight, and instance numbers do not "
            f"confirm their order; {REMEDY}"
        )


def _share_a_second(places: Sequence[Place]) -> bool:
    """Whether two files tell one second, and only one of them which part of it."""
    seconds: dict[int, set[tuple[str, bool]]] = {}
    for place in places:
        seconds.setdefault((place.time or 0) // SECOND, set()).add((place.file, place.clock.parts))
    return any(
        len({file for file, _ in each}) > 1 and len({parts for _, parts in each}) > 1 for each in seconds.values()
    )


def _doubts(places: Sequence[Place], positions: Sequence[Any], numbers: Sequence[Any], order: Order) -> list[str]:
    """What in the files speaks against their order, or is missing from it."""
    doubts = []
    if len({place.file for place in places}) > 1:
        if None in positions and any(place.corner for place in places):
            doubts.append(
                "not all frames have a slice position in parallel planes of one frame of reference; positions do not "
                "count"
            )
        if None in numbers:
            doubts.append("not all files have an instance number that can be read")
        elif len(set(numbers)) < len(numbers):
            doubts.append("some files share an instance number")
        else:
            told = [numbers[row] for row in order.rows]
            backwards = order.reason in BACKWARDS and told == sorted(told, reverse=True)
            if told != sorted(told) and not backwards:
                doubts.append(f"instance numbers tell another order; frames stand {order.reason}")
            if gaps := _gaps(sorted({number for number, _ in numbers})):
                doubts.append(f"images may be missing: there are gaps between instance numbers ({gaps})")
    across = [place.across for place in places if place.across]
    if len(across) == len(places) and np.abs(np.subtract(across, across[0])).max() > ALIGNED and None not in positions:
        doubts.append("some frames are turned against others in their plane")
    if None not in positions and _shifted(places):
        doubts.append("frames are shifted against each other in their plane, so that one place is not one pixel")
    if order.reason == SLICES and (gaps := _gaps([positions[row] for row in order.rows])):
        doubts.append(f"slices may be missing: there are gaps between slice positions ({gaps})")
    return doubts


def _shifted(places: Sequence[Place]) -> bool:
    """Whether corners lie on no line along the normal: a gantry was tilted, or another field was taken."""
    corners = np.array([place.corner for place in places if place.corner])
    normal = next((place.normal for place in places if place.normal), None)
    if normal is None or len(corners) < len(places):
        return False
    away = corners - corners[0]
    beside = away - np.outer(away @ np.array(normal), normal)
    return bool(np.linalg.norm(beside, axis=1).max() > SHIFTED)


def _gaps(values: Sequence[float]) -> int:
    """Steps that are far wider than the usual one."""
    steps = [second - first for first, second in pairwise(values)]
    return sum(step > 1.5 * median_low(steps) for step in steps)


def _positions(places: Sequence[Place]) -> list[float | None]:
    """Millimetres along the common normal, rounded; None for all where planes are not parallel, or positions are told
    in several frames of reference.
    """
    normals = [place.normal for place in places]
    first = next((normal for normal in normals if normal), None)
    several = len({place.space for place in places} - {""}) > 1
    if (
        several
        or first is None
        or any(normal is None or np.abs(np.subtract(normal, first)).max() > ALIGNED for normal in normals)
    ):
        return [None] * len(places)
    return [
        None if place.corner is None else round(float(np.dot(place.corner, first)) + place.offset, HUNDREDTHS)
        for place in places
    ]


def _normal(directions: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Of a row and a column direction."""
    if directions is None or len(directions) != 6:
        return None
    normal = np.cross(directions[:3], directions[3:])
    length = float(np.linalg.norm(normal))
    return tuple((normal / length).tolist()) if 0.5 < length < 2 else None


def _corner(position: tuple[float, ...] | None) -> tuple[float, ...] | None:
    return position if position and len(position) == 3 else None


def _dimension(dataset: Dataset, frame: int) -> tuple[int, ...] | None:
    for item in groups(dataset, frame, "FrameContentSequence"):
        found = floats(item, "DimensionIndexValues")
        return tuple(int(value) for value in found) if found else None
    return None


def _counted(dataset: Dataset, frames: int) -> list[tuple[int, ...]]:
    """The numbers by which nuclear medicine counts each frame; none where it does not."""
    vectors = [found for name in VECTORS if len(found := floats(dataset, name) or ()) == frames]
    return [tuple(map(int, numbers)) for numbers in zip(*vectors, strict=True)]


def _part(dataset: Dataset) -> Part | None:
    whole_of, first = text(dataset, "ConcatenationUID"), whole(dataset, "ConcatenationFrameOffsetNumber")
    if not whole_of or first is None:
        return None
    number, count = whole(dataset, "InConcatenationNumber"), whole(dataset, "InConcatenationTotalNumber")
    return Part(whole_of, first, number or 0, count or 0)


def _trigger(dataset: Dataset, frame: int) -> float | None:
    for group, keyword in (
        ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
        ("CardiacTriggerSequence", "TriggerDelayTime"),
    ):
        for item in groups(dataset, frame, group):
            if found := floats(item, keyword):
                return found[0]
    own = floats(dataset, "TriggerTime")
    return own[0] if own else None


def _temporal(dataset: Dataset, frame: int) -> int | None:
    for item in groups(dataset, frame, "FrameContentSequence"):
        if (found := whole(item, "TemporalPositionIndex")) is not None:
            return found
    return whole(dataset, "TemporalPositionIdentifier")
