"""Changes the coding of the pixels of DICOM cines.

`encode_cines.py CODING FOLDER` changes each DICOM file in FOLDER. CODING is one of

- `jpeg`: baseline JPEG in colour, as most scanners write it;
- `jpeg-ls`, `jpeg-2000`, `rle`: lossless codings of the grey pixels;
- `raw`: no compression.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

QUALITY = 90
LOSSLESS = {"jpeg-ls": JPEGLSLossless, "jpeg-2000": JPEG2000Lossless, "rle": RLELossless}
CODINGS = ["jpeg", "raw", *LOSSLESS]


def encode_jpeg(data_set: Dataset) -> None:
    """Replaces the pixels by baseline JPEG in colour."""
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


def main() -> None:
    """Changes the files of the folder that is named on the command line."""
    coding, folder = sys.argv[1], Path(sys.argv[2])
    if coding not in CODINGS:
        sys.exit(f"CODING must be one of {', '.join(CODINGS)}, got {coding}")
    for path in sorted(folder.glob("*.dcm")):
        data_set = dcmread(path)
        if coding == "jpeg":
            encode_jpeg(data_set)
        elif coding in LOSSLESS:
            data_set.compress(LOSSLESS[coding], generate_instance_uid=False)
        data_set.save_as(path)


if __name__ == "__main__":
    main()
