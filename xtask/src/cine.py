"""Decodes the cardiac cine that pydicom ships into binary PPM images, one after the other, in the file named."""

import sys
from pathlib import Path

import pydicom
from pydicom.pixels import pixel_array

source = Path(pydicom.__file__).parent / "data/test_files/examples_ybr_color.dcm"
with Path(sys.argv[1]).open("wb") as target:
    for frame in pixel_array(source):  # RGB, 8 bits
        height, width, _ = frame.shape
        target.write(b"P6\n%d %d\n255\n" % (width, height))
        target.write(frame.tobytes())
