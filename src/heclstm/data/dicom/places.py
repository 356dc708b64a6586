"""Where each frame of a DICOM file stands, and the order of a series that follows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median_low
from typing import Any

import numpy as np

from heclstm.data.dicom.library import Dataset
from heclstm.data.dicom.values import floats, groups, items, of_frame, text, whole
from heclstm.data.order import REMEDY, Order, Rule, decide
from heclstm.data.sources import Source
from heclstm.errors import SequenceError

MOMENT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6})\d*)? *(?:([-+])(\d{2})(\d{2}))?")
ZONE = re.compile(r"([-+])(0\d|1[0-4])([0-5]\d)")  # from UTC
ALIGNED = 1e-3  # unit directions that differ by less are one
HUNDREDTHS = 2  # positions are compared in hundredths of a millimetre
EPOCH = datetime(1, 1, 1)
SLICES, DIMENSIONS = "by slice position along the normal", "by dimension index"
TIMES = "by acquisition time"
DAY = 24 * 3600 * 10**6  # microseconds
UNDATED = "00010102"  # stands for the date of a time without one: in any time zone, it is far before all that have one
BACKWARDS = (SLICES, DIMENSIONS)  # a stack may be numbered from either end; time goes one way


@dataclass(frozen=True, repr=False)
class Place:
    """What is known of one frame; None where nothing is. normal, corner: of its plane, in millimetres. offset: along
    the normal, for a grid of doses. dimension: of an enhanced object. time: microseconds; zoned: whether it is
    known in which time zone. trigger: milliseconds. number: of the file; frame: inside of it. temporal: its number in
    time. space: in which positions are told. across: the direction of its rows."""

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
    zoned: bool = False
    space: str = ""
    across: tuple[float, ...] | None = None


def places_of(source: Source, dataset: Dataset, frames: int) -> tuple[Place, ...]:
    """The place of each frame."""
    number = whole(dataset, "InstanceNumber")
    orientation, position = "ImageOrientationPatient", "ImagePositionPatient"
    offsets = floats(dataset, "GridFrameOffsetVector")
    if offsets is None or len(offsets) != frames:
        offsets = (0.0,) * frames
    shifts = _shifts(dataset, frames)

    zone, space = text(dataset, "TimezoneOffsetFromUTC"), text(dataset, "FrameOfReferenceUID")

    def place(frame: int) -> Place:
        directions = floats(of_frame(dataset, frame, "PlaneOrientationSequence", orientation), orientation)
        time, zoned = _time(dataset, frame, shifts, zone)
        return Place(
            str(source),
            frame,
            number,
            normal := _normal(directions),
            _corner(floats(of_frame(dataset, frame, "PlanePositionSequence", position), position)),
            offsets[frame],
            _dimension(dataset, frame),
            time,
            _trigger(dataset, frame),
            _temporal(dataset, frame),
            zoned,
            space,
            directions[:3] if directions and normal else None,
        )

    if items(dataset, "PerFrameFunctionalGroupsSequence"):
        return tuple(place(frame) for frame in range(frames))
    first = place(0)  # what frames do not have for themselves is the same for all
    start = first.time if shifts else None
    return tuple(
        replace(
            first, frame=frame, offset=offsets[frame], time=None if start is None else start + shifts[frame] - shifts[0]
        )
        for frame in range(frames)
    )


def order_of(places: Sequence[Place], where: str) -> Order:
    """The order of the frames of one series. Raises SequenceError where nothing in the files fixes it."""
    if len(places) == 1:
        return Order((0,), "one frame")
    positions = _positions(places)
    shared = len(set(positions)) < len(positions) if None not in positions else False
    dimensions = Rule(DIMENSIONS, [place.dimension for place in places])
    if shared and len(set(positions)) > 1 and not dimensions.decides:
        raise SequenceError(
            f"{where}: {len(places)} frames stand at {len(set(positions))} slice positions, so that several share one; "
            "give one volume or one time of them"
        )
    numbers = [None if place.number is None else (place.number, place.frame) for place in places]
    rules = [
        Rule(SLICES, positions),
        dimensions,
        Rule(TIMES, [place.time for place in places]),
        Rule("by trigger time", [place.trigger for place in places]),
        Rule("by temporal position", [place.temporal for place in places]),
    ]
    files = {place.file for place in places}
    if len(files) == 1:
        rules.append(Rule("as the file holds its frames", [place.frame for place in places]))
    rules.append(Rule("by instance number", numbers))
    undecided = (
        f"nothing in these {len(files)} files fixes an order: their slice positions, times and instance numbers are "
        f"absent or the same; {REMEDY}"
    )
    order = decide(rules, where, undecided)
    if order.reason == TIMES:
        _require_one_clock(places, [numbers[row] for row in order.rows], where)
    return Order(order.rows, order.reason, tuple(_doubts(places, positions, numbers, order)))


def _require_one_clock(places: Sequence[Place], told: Sequence[Any], where: str) -> None:
    """told: instance numbers in the order of the times. Raises SequenceError where times may be of several days or time
    zones, and the numbers do not say the same.
    """
    times = [place.time or 0 for place in places]
    confirmed = None not in told and list(told) == sorted(told)
    if len({place.zoned for place in places}) > 1 and not confirmed:
        raise SequenceError(
            f"{where}: acquisition times of which some name their time zone and others none, and instance numbers do "
            f"not confirm their order; {REMEDY}"
        )
    if min(times) > 4 * DAY:
        return
    apart = max(times) - min(times) > DAY // 2  # or some have a date and others none
    if apart and None in told or None not in told and not confirmed:
        raise SequenceError(
            f"{where}: acquisition times without a date, perhaps over midnight, and instance numbers do not "
            f"confirm their order; {REMEDY}"
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
    if order.reason == SLICES and (gaps := _gaps([positions[row] for row in order.rows])):
        doubts.append(f"slices may be missing: there are gaps between slice positions ({gaps})")
    return doubts


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


def _time(dataset: Dataset, frame: int, shifts: Sequence[int], zone: str) -> tuple[int | None, bool]:
    """Microseconds: of the frame itself, else of the file and the frame's distance from its first; and whether its time
    zone is known. zone: of the file.
    """
    for item in groups(dataset, frame, "FrameContentSequence"):
        for keyword in ("FrameAcquisitionDateTime", "FrameReferenceDateTime"):
            if (moment := _moment(text(item, keyword), zone)) is not None:
                return moment
    start = _moment(text(dataset, "AcquisitionDateTime"), zone)
    if start is None:
        told = (text(dataset, "AcquisitionDate") or UNDATED) + text(dataset, "AcquisitionTime")
        start = _moment(told, zone)
    return (None, False) if start is None or not shifts else (start[0] + shifts[frame], start[1])


def _shifts(dataset: Dataset, frames: int) -> list[int]:
    """Microseconds from the first frame of a file to each; none where several frames have no times."""
    if frames == 1:
        return [0]
    vector, single = floats(dataset, "FrameTimeVector"), floats(dataset, "FrameTime")
    if vector and len(vector) == frames and min(vector) >= 0:
        return [int(1000 * time) for time in np.cumsum(vector)]
    if single and single[0] > 0 and not items(dataset, "PerFrameFunctionalGroupsSequence"):
        return [int(1000 * single[0] * frame) for frame in range(frames)]
    return []


def _moment(value: str, zone: str = "") -> tuple[int, bool] | None:
    """20240131120000.5 → microseconds since the year 1, in UTC where it or its file says its distance from it (+0100),
    and whether it does: clocks are turned back once a year. Where no file of a series does, they are taken to be of one
    zone."""
    match = MOMENT.fullmatch(value.replace(":", ""))
    if match is None:
        return None
    told = match[8] and "".join(match.group(8, 9, 10))
    away = ZONE.fullmatch(told or zone)
    if told and away is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59))
        if away:
            ahead = timedelta(hours=int(away[2]), minutes=int(away[3]))
            moment += -ahead if away[1] == "+" else ahead
    except (ValueError, OverflowError):
        return None
    return (moment - EPOCH) // timedelta(microseconds=1) + int((match[7] or "0").ljust(6, "0")), away is not None
