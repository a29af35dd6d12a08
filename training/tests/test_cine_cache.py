import numpy as np
import pytest
from cine_files import build_entry, write_png_folder
from PIL import Image

from tteview_train.cine_cache import Cache, SampleSettings, decode, preprocess
from tteview_train.readers import Cine, CineError
from tteview_train.resizing import Resizing

GREY = SampleSettings(32, 1)


def test_a_region_is_cropped_resized_and_centred_on_black():
    frame = np.zeros((40, 60), np.uint8)
    frame[5:35, 10:50] = 200
    cine = Cine([frame], [0], (10, 5, 40, 30), 2.0)
    sample = preprocess(frame, cine, GREY)[0]
    # The pixels are twice as high as they are wide, so the region of 40 x 30 pixels has the shape
    # of 40 x 60 square pixels and is scaled to 21 x 32.
    assert sample.shape == (32, 32)
    assert (sample[:, 5:26] == 200).all()
    assert (sample[:, :5] == 0).all()
    assert (sample[:, 26:] == 0).all()


def test_sides_are_rounded_half_up_and_fit_the_square():
    assert Resizing().compute_size(640, 480, 112) == (112, 84)
    assert Resizing().compute_size(30, 20, 32) == (32, 21)
    assert Resizing().compute_size(4000, 1, 32) == (32, 1)


def test_colour_becomes_luma_or_three_planes():
    frame = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    cine = Cine([frame], [0])
    grey = preprocess(frame, cine, SampleSettings(8, 1))
    assert grey.shape == (1, 8, 8)
    assert grey[0, 0, 0] == (19595 * 200 + 38470 * 100 + 7471 * 50 + 0x8000) >> 16
    assert preprocess(frame, cine, SampleSettings(8, 3))[:, 3, 3].tolist() == [200, 100, 50]


def test_the_cache_decodes_a_file_again_only_after_a_change(tmp_path, monkeypatch):
    folder = write_png_folder(tmp_path / "c")
    cache = Cache(tmp_path / "cache", GREY)
    first = cache.load(build_entry(folder))
    monkeypatch.setattr("tteview_train.cine_cache.decode", lambda *_: pytest.fail("decoded again"))
    again = cache.load(build_entry(folder))
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.times_ns, again.times_ns)
    monkeypatch.undo()
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(folder / "0.png")
    assert not cache.load(build_entry(folder)).frames[0].any()
    assert np.array_equal(
        decode(build_entry(folder), GREY).frames, cache.load(build_entry(folder)).frames
    )


def test_a_truncated_cache_file_is_written_again(tmp_path):
    cache = Cache(tmp_path / "cache", GREY)
    entry = build_entry(write_png_folder(tmp_path / "c"))
    whole = cache.load(entry).frames.copy()
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(cache.load(entry).frames, whole)


def test_filling_the_cache_names_every_bad_file(tmp_path):
    good = write_png_folder(tmp_path / "good")
    (tmp_path / "bad1.gif").write_text("x")
    (tmp_path / "bad2.dcm").write_text("x")
    cache = Cache(tmp_path / "cache", GREY)
    paths = (good, tmp_path / "bad1.gif", tmp_path / "bad2.dcm")
    with pytest.raises(CineError, match="2 cines") as error:
        cache.fill([build_entry(path) for path in paths], quiet=True)
    assert "bad1.gif" in str(error.value)
    assert "bad2.dcm" in str(error.value)
