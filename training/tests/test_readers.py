import sys

import numpy as np
import pytest
from cine_files import build_region, write_dicom, write_png_folder
from PIL import Image
from pydicom.sequence import Sequence

from tteview_train.readers import CineError, read_cine


def test_png_frames_have_the_order_of_their_numbers(tmp_path):
    folder = write_png_folder(tmp_path / "c", frames=12)
    cine = read_cine(folder)
    with Image.open(folder / "10.png") as image:
        assert np.array_equal(cine.frames[10], np.asarray(image))
    assert cine.times_ns[:3] == [0, 33_333_333, 66_666_666]
    assert read_cine(folder, 40_000_000).times_ns[2] == 80_000_000


def test_dicom_gives_pixels_times_region_and_aspect(tmp_path):
    path = tmp_path / "c.dcm"
    pixels = write_dicom(
        path, FrameTime="25", SequenceOfUltrasoundRegions=Sequence([build_region()])
    )
    cine = read_cine(path)
    assert np.array_equal(np.stack(cine.frames), pixels)
    assert cine.times_ns == [0, 25_000_000, 50_000_000, 75_000_000]
    assert cine.region == (10, 5, 40, 30)
    assert cine.pixel_aspect == pytest.approx(2)


def test_dicom_frame_times_may_vary(tmp_path):
    path = tmp_path / "c.dcm"
    write_dicom(path, FrameTimeVector=["0", "20", "30", "40"], FrameIncrementPointer=0x00181065)
    assert read_cine(path).times_ns == [0, 20_000_000, 50_000_000, 90_000_000]


def test_regions_of_a_larger_frame_are_ignored(tmp_path):
    path = tmp_path / "c.dcm"
    write_dicom(
        path,
        SequenceOfUltrasoundRegions=Sequence(
            [build_region(RegionLocationMaxX1=639), build_region()]
        ),
    )
    assert read_cine(path).region is None


def test_gif_delays_give_the_times(tmp_path):
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


def test_video_gives_frames_and_times(tmp_path):
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
