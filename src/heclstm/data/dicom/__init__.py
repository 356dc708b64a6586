"""DICOM → frames: one series of one patient, in the order and the greys that its files ask for.

library     pydicom, guarded           header      a file up to its pixels: whose, which form
places      the order of frames        mapping     what greys a file asks for
greys       the formulas of PS3.3      decode      pixels, after what they claim was checked
selection   which series               series      all of it: files → frames
person      whose they are, to be shown
"""

from __future__ import annotations

from pathlib import Path

from heclstm.data.budget import Budget
from heclstm.data.dicom.header import header_of
from heclstm.data.dicom.selection import Selection
from heclstm.data.dicom.series import Shown, headers_of, order_in_series, show
from heclstm.data.sources import Source

__all__ = ["ANY", "Selection", "Shown", "header_of", "headers_of", "read_dicom"]


ANY = Selection()


def read_dicom(path: Path, selection: Selection = ANY) -> Shown:
    """One file, an image or a clip. Raises FileFormatError."""
    headers, _ = headers_of([Source(path)])
    return show(headers, order_in_series(headers, str(path)), selection, Budget())
