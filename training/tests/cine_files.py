"""Files and manifest entries for the tests of the readers and the cache."""

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage

from tteview_train.manifest import Entry


def write_png_folder(path, frames=5, shape=(20, 30), seed=0):
    path.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(frames):
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(path / f"{i}.png")
    return path


def build_entry(path, period_ns=None):
    return Entry(path, path.name, "A", "p", "train", {}, period_ns)


def write_dicom(path, frames=4, **elements):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = UltrasoundMultiFrameImageStorage, "1.2.3"
    data.NumberOfFrames, data.Rows, data.Columns = frames, 40, 60
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    pixels = np.random.default_rng(0).integers(0, 255, (frames, 40, 60), dtype=np.uint8)
    data.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return pixels


def build_region(**changes):
    item = pydicom.Dataset()
    item.RegionSpatialFormat, item.RegionDataType = 1, 1
    item.RegionLocationMinX0, item.RegionLocationMinY0 = 10, 5
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = 49, 34
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX, item.PhysicalDeltaY = 0.05, 0.1
    for name, value in changes.items():
        setattr(item, name, value)
    return item
