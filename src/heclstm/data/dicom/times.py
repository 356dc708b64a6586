"""When a frame was taken, as its file tells it, and what is to be known of the clock.

A clock is turned back once a year, tells no date, or minutes alone: then times fix no order by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from heclstm.data.dicom.library import Dataset
from heclstm.data.dicom.values import floats, groups, items, text

MOMENT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6})\d*)? *(?:([-+])(\d{2})(\d{2}))?")
ZONE = re.compile(r"([-+])(0\d|1[0-4])([0-5]\d)")  # from UTC
EPOCH = datetime(1, 1, 1)
SECOND = 10**6  # microseconds
DAY = 24 * 3600 * SECOND
UNDATED = "00010102"  # stands for the date of a time without one: in any time zone, it is far before all that have one


@dataclass(frozen=True)
class Clock:
    """zoned: whether it is known in which time zone it goes. digits: of a day that it tells, six where seconds are
    told. agreed: whether nothing in the file tells another time. parts: whether it tells parts of a second."""

    zoned: bool = False
    digits: int = 6
    agreed: bool = True
    parts: bool = False


def time_of(dataset: Dataset, frame: int, shifts: Sequence[int], zone: str) -> tuple[int | None, Clock]:
    """Microseconds: of the frame itself, else of the file and the frame's distance from its first; and what is known of
    the clock. zone: of the file.
    """
    for item in groups(dataset, frame, "FrameContentSequence"):
        for keyword in ("FrameAcquisitionDateTime", "FrameReferenceDateTime"):
            if (moment := _moment(text(item, keyword), zone)) is not None:
                return moment
    date, time = text(dataset, "AcquisitionDate"), text(dataset, "AcquisitionTime")
    start, other = _moment(text(dataset, "AcquisitionDateTime"), zone), _moment((date or UNDATED) + time, zone)
    if start and other and date:
        same = abs(start[0] - other[0]) < SECOND and start[1].zoned == other[1].zoned
        start = start[0], replace(start[1], agreed=same or start[1].zoned != other[1].zoned)
    start = start or other
    return (None, Clock()) if start is None or not shifts else (start[0] + shifts[frame], start[1])


def shifts_of(dataset: Dataset, frames: int) -> list[int]:
    """Microseconds from the first frame of a file to each; none where several frames have no times."""
    if frames == 1:
        return [0]
    vector, single = floats(dataset, "FrameTimeVector"), floats(dataset, "FrameTime")
    if vector and len(vector) == frames and min(vector) >= 0:
        return [int(1000 * time) for time in np.cumsum(vector)]
    if single and single[0] > 0 and not items(dataset, "PerFrameFunctionalGroupsSequence"):
        return [int(1000 * single[0] * frame) for frame in range(frames)]
    return []


def _moment(value: str, zone: str = "") -> tuple[int, Clock] | None:
    """20240131120000.5 → microseconds since the year 1, in UTC where it or its file says its distance from it (+0100),
    and what is known of its clock, which is turned back once a year. Where no file of a series says its zone, they are
    taken to be of one."""
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
    return (moment - EPOCH) // timedelta(microseconds=1) + int((match[7] or "0").ljust(6, "0")), Clock(
        away is not None, 2 * sum(part is not None for part in match.group(4, 5, 6)), parts=match[7] is not None
    )
