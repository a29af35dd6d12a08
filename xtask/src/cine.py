"""What pydicom decodes DICOM files to, for the tests: writes FOLDER/NAME.ppm for each NAME of FOLDER.

cine.py FOLDER NAME...
"""

import sys
from pathlib import Path

import numpy
from pydicom import dcmread
from pydicom.pixels import apply_color_lut, pixel_array

folder = Path(sys.argv[1])
for name in sys.argv[2:]:
    data_set = dcmread(folder / name)
    frames = pixel_array(data_set)  # RGB where the file has colours
    if data_set.PhotometricInterpretation == "PALETTE COLOR":
        frames = apply_color_lut(frames, data_set) >> 8  # entries of 16 bits
    elif frames.dtype == numpy.uint16:
        frames = frames >> (data_set.BitsStored - 8)
    frames = frames.astype(numpy.uint8)
    with (folder / f"{name}.ppm").open("wb") as target:
        for frame in frames.reshape(-1, data_set.Rows, data_set.Columns, 3):
            target.write(b"P6\n%d %d\n255\n" % (data_set.Columns, data_set.Rows))
            target.write(frame.tobytes())
