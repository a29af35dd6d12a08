"""Decodes DICOM files with pydicom, as a reference for the tests of `tteview`.

`decode_cines.py FOLDER NAME...` decodes each file FOLDER/NAME and writes its frames to
FOLDER/NAME.ppm.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array


def decode_frames(data_set: Dataset) -> npt.NDArray[np.uint8]:
    """Decodes a data set to RGB frames of shape (frames, rows, columns, 3)."""
    # pixel_array converts YBR to RGB.
    pixels: npt.NDArray[Any] = pixel_array(data_set)
    if data_set.PhotometricInterpretation == "PALETTE COLOR":
        # Palette entries have 16 bits.
        pixels = apply_color_lut(pixels, data_set) >> 8
    elif pixels.dtype == np.uint16:
        pixels = pixels >> (data_set.BitsStored - 8)
    return pixels.astype(np.uint8).reshape(-1, data_set.Rows, data_set.Columns, 3)


def write_ppm(path: Path, frames: npt.NDArray[np.uint8]) -> None:
    """Writes the frames to one file, as images in the binary PPM format."""
    _, rows, columns, _ = frames.shape
    with path.open("wb") as file:
        for frame in frames:
            file.write(b"P6\n%d %d\n255\n" % (columns, rows))
            file.write(frame.tobytes())


def main() -> None:
    """Decodes the files that are named on the command line."""
    folder = Path(sys.argv[1])
    for name in sys.argv[2:]:
        write_ppm(folder / f"{name}.ppm", decode_frames(dcmread(folder / name)))


if __name__ == "__main__":
    main()
