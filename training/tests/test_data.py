import sys

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage

from tteview_train.data import Cache, SampleSettings, decode, fitted, preprocess
from tteview_train.manifest import (
    Entry,
    ManifestError,
    check_classes,
    check_labels,
    labels_of,
    of_split,
    read_labels,
    read_manifest,
)
from tteview_train.readers import Cine, CineError, read_cine

GREY = SampleSettings(32, 1)
HEADER = "path,label,patient,split,colour"


def folder_of_png(path, frames=5, shape=(20, 30), seed=0):
    path.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(frames):
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(path / f"{i}.png")
    return path


def entry_of(path, period_ns=None):
    return Entry(path, path.name, "A", "p", "train", {}, period_ns)


def manifest(tmp_path, *lines, header=HEADER):
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def dicom(path, frames=4, **elements):
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


def region_item(**changes):
    item = pydicom.Dataset()
    item.RegionSpatialFormat, item.RegionDataType = 1, 1
    item.RegionLocationMinX0, item.RegionLocationMinY0 = 10, 5
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = 49, 34
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX, item.PhysicalDeltaY = 0.05, 0.1
    for name, value in changes.items():
        setattr(item, name, value)
    return item


def test_png_frames_come_in_the_order_of_their_numbers(tmp_path):
    folder = folder_of_png(tmp_path / "c", frames=12)
    cine = read_cine(folder)
    with Image.open(folder / "10.png") as image:
        assert np.array_equal(cine.frames[10], np.asarray(image))
    assert cine.times_ns[:3] == [0, 33_333_333, 66_666_666]
    assert read_cine(folder, 40_000_000).times_ns[2] == 80_000_000


def test_dicom_pixels_times_region_and_aspect(tmp_path):
    path = tmp_path / "c.dcm"
    pixels = dicom(path, FrameTime="25", SequenceOfUltrasoundRegions=Sequence([region_item()]))
    cine = read_cine(path)
    assert np.array_equal(np.stack(cine.frames), pixels)
    assert cine.times_ns == [0, 25_000_000, 50_000_000, 75_000_000]
    assert cine.region == (10, 5, 40, 30)
    assert cine.pixel_aspect == pytest.approx(2)


def test_dicom_frame_times_that_vary_are_kept(tmp_path):
    path = tmp_path / "c.dcm"
    dicom(path, FrameTimeVector=["0", "20", "30", "40"], FrameIncrementPointer=0x00181065)
    assert read_cine(path).times_ns == [0, 20_000_000, 50_000_000, 90_000_000]


def test_regions_of_a_larger_frame_are_not_believed(tmp_path):
    path = tmp_path / "c.dcm"
    dicom(path, SequenceOfUltrasoundRegions=Sequence([region_item(RegionLocationMaxX1=639), region_item()]))
    assert read_cine(path).region is None


def test_a_region_is_cut_out_made_square_and_centred_on_black():
    frame = np.zeros((40, 60), np.uint8)
    frame[5:35, 10:50] = 200
    cine = Cine([frame], [0], (10, 5, 40, 30), 2.0)
    sample = preprocess(frame, cine, GREY)[0]
    # 40 x 60 square pixels fit as 21 x 32.
    assert sample.shape == (32, 32)
    assert (sample[:, 5:26] == 200).all()
    assert (sample[:, :5] == 0).all()
    assert (sample[:, 26:] == 0).all()


def test_sides_are_rounded_half_up_and_stay_inside():
    assert fitted(640, 480, 112) == (112, 84)
    assert fitted(30, 20, 32) == (32, 21)
    assert fitted(4000, 1, 32) == (32, 1)


def test_colour_becomes_luma_or_three_planes():
    frame = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    cine = Cine([frame], [0])
    grey = preprocess(frame, cine, SampleSettings(8, 1))
    assert grey.shape == (1, 8, 8)
    assert grey[0, 0, 0] == (19595 * 200 + 38470 * 100 + 7471 * 50 + 0x8000) >> 16
    assert preprocess(frame, cine, SampleSettings(8, 3))[:, 3, 3].tolist() == [200, 100, 50]


def test_gif_delays_are_the_times(tmp_path):
    frames = [Image.fromarray(np.full((10, 10), 50 * i, np.uint8)) for i in range(1, 4)]
    path = tmp_path / "c.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 50, 60])
    cine = read_cine(path)
    assert cine.times_ns == [0, 40_000_000, 90_000_000]


def test_video_without_av_names_the_package(tmp_path, monkeypatch):
    path = tmp_path / "c.avi"
    path.write_bytes(b"RIFF")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(CineError, match=r"c\.avi.*tteview-train\[video\]"):
        read_cine(path)


def test_video_frames_and_times(tmp_path):
    av = pytest.importorskip("av", reason="av is an optional package")
    path = tmp_path / "c.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        for i in range(5):
            image = np.full((32, 32, 3), 40 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    cine = read_cine(path)
    assert cine.times_ns == [0, 40_000_000, 80_000_000, 120_000_000, 160_000_000]
    assert abs(int(cine.frames[4][16, 16, 0]) - 160) <= 4


@pytest.mark.parametrize("name", ["gone.dcm", "text.dcm", "text.gif", "text.bmp", "empty"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name != "gone.dcm":
        path.write_text("this is no image")
    with pytest.raises(CineError, match=name.replace(".", r"\.")):
        read_cine(path)


def test_the_cache_decodes_once_and_notices_a_changed_file(tmp_path, monkeypatch):
    folder = folder_of_png(tmp_path / "c")
    cache = Cache(tmp_path / "cache", GREY)
    first = cache.load(entry_of(folder))
    monkeypatch.setattr("tteview_train.data.decode", lambda *_: pytest.fail("decoded again"))
    again = cache.load(entry_of(folder))
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.times_ns, again.times_ns)
    monkeypatch.undo()
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(folder / "0.png")
    assert not cache.load(entry_of(folder)).frames[0].any()
    assert np.array_equal(decode(entry_of(folder), GREY).frames, cache.load(entry_of(folder)).frames)


def test_a_cache_file_that_was_cut_is_made_anew(tmp_path):
    cache = Cache(tmp_path / "cache", GREY)
    entry = entry_of(folder_of_png(tmp_path / "c"))
    whole = cache.load(entry).frames.copy()
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(cache.load(entry).frames, whole)


def test_filling_the_cache_names_every_bad_file(tmp_path):
    good = folder_of_png(tmp_path / "good")
    (tmp_path / "bad1.gif").write_text("x")
    (tmp_path / "bad2.dcm").write_text("x")
    cache = Cache(tmp_path / "cache", GREY)
    paths = (good, tmp_path / "bad1.gif", tmp_path / "bad2.dcm")
    with pytest.raises(CineError, match="2 cines") as error:
        cache.fill([entry_of(path) for path in paths], quiet=True)
    assert "bad1.gif" in str(error.value)
    assert "bad2.dcm" in str(error.value)


def test_a_manifest_keeps_unknown_columns_as_attributes(tmp_path):
    path = manifest(tmp_path, "x.dcm,A4C,p1,train,1,40000000,Acme", header=HEADER + ",frame_period_ns,vendor")
    (entry,) = read_manifest(path)
    assert (entry.path, entry.label, entry.period_ns) == (tmp_path / "x.dcm", "A4C", 40_000_000)
    assert entry.attributes == {"colour": "1", "vendor": "Acme"}


def test_a_patient_in_two_splits_is_a_leak(tmp_path):
    path = manifest(tmp_path, "a,A,p1,train,0", "b,A,p1,test,0", "c,A,p2,test,0")
    with pytest.raises(ManifestError, match=r"manifest\.csv: LEAK: 1 patients .*p1 in test and train"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("header", "line", "words"),
    [
        ("path,label", "a,A", "columns missing: patient, split, colour"),
        (HEADER, ",A,p,train,0", "line 2: path is empty"),
        (HEADER + ",frame_period_ns", "a,A,p,train,0,-5", "line 2: frame_period_ns"),
    ],
)
def test_a_bad_manifest_is_named_with_its_line(tmp_path, header, line, words):
    with pytest.raises(ManifestError, match=r"manifest\.csv") as error:
        read_manifest(manifest(tmp_path, line, header=header))
    assert words in str(error.value)


def test_labels_classes_and_splits_are_checked(tmp_path):
    path = manifest(tmp_path, "a,A,p1,train,0", "b,B,p2,test,0")
    entries = read_manifest(path)
    labels = labels_of(entries)
    with pytest.raises(ManifestError, match="b: unknown label 'B'"):
        check_labels(path, entries, labels[:1])
    with pytest.raises(ManifestError, match="without a training cine: B"):
        check_classes(path, of_split(path, entries, "train"), labels)
    with pytest.raises(ManifestError, match="no cines of split 'val'; there are: test, train"):
        of_split(path, entries, "val")


def test_labels_listed_twice_are_refused(tmp_path):
    file = tmp_path / "labels.json"
    file.write_text('[{"code":"A","name":"a"},{"code":"A","name":"b"}]')
    with pytest.raises(ManifestError, match="twice: A"):
        read_labels(file)
