"""Replaces the pixels of DICOM cines by baseline JPEG.

`encode_jpeg.py FOLDER` changes each DICOM file in FOLDER.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

QUALITY = 90


def encode(path: Path) -> None:
    """Replaces the pixels of one file."""
    data_set = dcmread(path)
    frames = data_set.pixel_array
    encoded = []
    for frame in np.repeat(frames[..., np.newaxis], 3, axis=-1) if frames.ndim == 3 else frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=QUALITY)
        encoded.append(file.getvalue())
    data_set.PixelData = encapsulate(encoded)
    data_set["PixelData"].VR = "OB"
    data_set["PixelData"].is_undefined_length = True
    data_set.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data_set.SamplesPerPixel = 3
    data_set.PhotometricInterpretation = "YBR_FULL_422"
    data_set.PlanarConfiguration = 0
    data_set.save_as(path)


def main() -> None:
    """Changes the files of the folder that is named on the command line."""
    for path in sorted(Path(sys.argv[1]).glob("*.dcm")):
        encode(path)


if __name__ == "__main__":
    main()
