"""Checks of DICOM files that pydicom would read in another way than the program `tteview`."""

from __future__ import annotations

import importlib
from typing import Any

ADVICE = "; set the environment variable TTEVIEW to the path of the program tteview, which reads it"

ARITHMETIC = frozenset((0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))
"""Markers of JPEG images with arithmetic coding."""

FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the header that contains the size and the components of a JPEG image."""


def find_problem(dataset: Any) -> str | None:
    """Finds a property of a file for which pydicom gives wrong pixels, or `None`."""
    if dataset.get("PixelRepresentation") == 1:
        return "signed pixels are not supported"
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        return "segmented palettes are not supported"
    if dataset.HighBit != dataset.BitsStored - 1:
        return f"pixels whose highest bit is {dataset.HighBit} are not supported here{ADVICE}"
    frames = int(dataset.get("NumberOfFrames") or 1)
    if not dataset.file_meta.TransferSyntaxUID.is_compressed:
        if dataset["PixelData"].is_undefined_length:
            return f"fragments with an uncompressed transfer syntax are not supported here{ADVICE}"
        utils = importlib.import_module("pydicom.pixels.utils")
        length, found = utils.get_expected_length(dataset), len(dataset.PixelData)
        if (length // frames) % 2 == 1 and frames > 1 and found >= length + frames:
            return f"uncompressed frames that are padded are not supported here{ADVICE}"
        return None
    encaps = importlib.import_module("pydicom.encaps")
    count = encaps.parse_fragments(dataset.PixelData)[0]
    if "ExtendedOffsetTable" in dataset and count > frames + 1:
        return f"frames in several fragments with an offset table are not supported here{ADVICE}"
    first = next(encaps.generate_frames(dataset.PixelData, number_of_frames=frames))
    return _find_jpeg_problem(first, dataset)


def _find_jpeg_problem(frame: bytes, dataset: Any) -> str | None:
    """Finds a property of the first JPEG image of a file for which pydicom gives wrong pixels."""
    if not frame.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker in ARITHMETIC:
            return "JPEG with arithmetic coding is not supported"
        if marker in FRAME_MARKERS:
            components = frame[at + 9]
            factors = {frame[at + 11 + 3 * i] for i in range(components)}
            if dataset.PhotometricInterpretation == "RGB" and len(factors) > 1:
                return f"subsampled chroma with the colours RGB is not supported here{ADVICE}"
            return None
        at += 2 + length
    return None
