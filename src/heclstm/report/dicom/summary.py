"""The picture of a diagnosis as a secondary capture, for workstations that show no structured report."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO

import numpy as np
from highdicom.sc import SCImage
from matplotlib.image import imread

from heclstm.data.dicom.library import Dataset
from heclstm.data.sequence import ImageSequence
from heclstm.report.dicom.structured import DESCRIPTION, NAME, UNICODE, version, written
from heclstm.report.dicom.study import SourceStudy, building, subject, uid_of
from heclstm.report.figure import draw
from heclstm.report.findings import Findings

DOTS_PER_INCH, SERIES_NUMBER = 96, 9302


def summary(findings: Findings, sequence: ImageSequence, study: SourceStudy, made: datetime, identity: str) -> bytes:
    """A DICOM file. The arguments are those of `structured_report`, with the prepared images."""
    picture = imread(BytesIO(draw(findings, sequence, DOTS_PER_INCH)))
    pixels = np.ascontiguousarray(np.rint(255 * picture[:, :, :3]).astype(np.uint8))
    with building("secondary capture"):
        image: Dataset = SCImage(
            pixel_array=pixels,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "P"),  # that of nothing: taken out below
            series_instance_uid=uid_of(identity, "series of summaries"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid_of(identity, "summary"),
            instance_number=1,
            manufacturer=NAME,
            software_versions=version(),
            series_description=DESCRIPTION,
            specific_character_set=UNICODE,
            content_date=made.date(),
            content_time=made.time(),
            **subject(study),
        )
        image.PatientOrientation = image.Laterality = None
        image.BurnedInAnnotation = "YES"
        image.DateOfSecondaryCapture, image.TimeOfSecondaryCapture = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
        study.repeat(image)
        return written(image, made)
