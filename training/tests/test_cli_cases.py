"""Tests with the cases of the readers of `tteview`, which `tools/cli/tests/cine_cases.rs` reads.

The model kit must read a case as the program does, or refuse it. Cines that are used for training
can therefore be evaluated with `tteview eval`, and both read the same pixels and times.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tteview_train.program import PROGRAM, load_cine
from tteview_train.readers import CineError, read_cine

CASES = Path(__file__).parents[2] / "tools" / "cli" / "tests" / "cases"
NAMES = sorted(path.parent.name for path in CASES.glob("*/case.json"))

MUST_BE_READ = {
    "mp4-h264",
    "mkv-h264",
    "avi-24-unpadded",
    "avi-8-200-colours",
    "ok-avi-24-topdown",
    "ok-avi-audio-first",
    "ok-avi-mjpg",
    "ok-avi-y800",
    "ok-gif",
    "ok-gif-colour-partial",
    "ok-png",
    "ok-png-16",
    "png-alpha-white",
    "ok-implicit",
    "ok-jpeg-grey",
    "ok-jpeg-progressive",
    "ok-native-16",
    "ok-native-rgb-planar",
    "ok-native-ybr422",
    "ok-palette",
    "ok-rle-rgb",
    "ok-regions",
    "mono1",
    "times-us",
    "times-vector-irregular",
    "times-vector-zero",
}
"""Cases that the model kit must read without the program: each format, and unusual times."""

LEAST_READ = 90
"""Least number of cases that the model kit must read without the program."""


def read_expected(folder, reference):
    """Reads consecutive PGM or PPM images as RGB."""
    data = (folder / reference).read_bytes()
    at = 0
    while at < len(data):
        kind, size, most, _ = data[at : at + 64].split(b"\n", 3)
        at += len(kind) + len(size) + len(most) + 3
        width, height = map(int, size.split())
        shape = (height, width, 3 if kind == b"P6" else 1)
        count = int(np.prod(shape))
        image = np.frombuffer(data, np.uint8, count, at).reshape(shape)
        yield np.broadcast_to(image, (height, width, 3)).astype(int)
        at += count


def list_differences(case, folder, cine):
    """Lists in what a cine differs from the right result of a case."""
    if len(cine.frames) not in (case["frames"], *(case.get("frames_or") or ())):
        return [f"{len(cine.frames)} frames"]
    found = []
    frames = [f if f.ndim == 3 else np.repeat(f[..., None], 3, -1) for f in cine.frames]
    if "sha256_rgb24" in case and len(frames) == case["frames"]:
        pixels = b"".join(frame.tobytes() for frame in frames)
        if hashlib.sha256(pixels).hexdigest() != case["sha256_rgb24"]:
            found.append("pixels")
    if "reference" in case:
        expected = list(read_expected(folder, case["reference"]))
        differences = [np.abs(e - f) for e, f in zip(expected, frames, strict=False)]
        largest = max(difference.max() for difference in differences)
        mean = np.mean([difference.mean() for difference in differences])
        if largest > case["max_difference"] or mean > case["mean_difference"]:
            found.append(f"pixels differ by up to {largest}, in the mean by {mean:.2f}")
    steps = np.diff(cine.times_ns)
    period = case.get("period_ns")
    if len(steps) and period and abs(np.median(steps) - period) > 0.01 * period:
        found.append(f"period {np.median(steps)}")
    if case.get("times_ns") and cine.times_ns != case["times_ns"]:
        found.append(f"times {cine.times_ns}")
    if "region" in case and (list(cine.region) if cine.region else None) != case["region"]:
        found.append(f"region {cine.region}")
    return found


def load_case(name):
    return json.loads((CASES / name / "case.json").read_text())


def read_case(name, read):
    """Reads a case. Returns `None` if it is refused."""
    folder, case = CASES / name, load_case(name)
    try:
        cine = read(folder / case["input"])
    except CineError:
        return None
    assert case["expect"] == "frames", f"{name} must be refused: {case['what']}"
    assert list_differences(case, folder, cine) == [], f"{name}: {case['what']}"
    return cine


@pytest.mark.filterwarnings("ignore")
def test_a_cine_is_read_as_the_program_reads_it_or_refused():
    pytest.importorskip("av", reason="av is an optional package")
    assert len(NAMES) >= 178
    read = {name for name in NAMES if read_case(name, read_cine) is not None}
    assert read >= MUST_BE_READ, MUST_BE_READ - read
    assert len(read) >= LEAST_READ


def test_a_codec_that_the_program_does_not_read_is_refused(tmp_path):
    av = pytest.importorskip("av", reason="av is an optional package")
    path = tmp_path / "c.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for value in range(5):
            image = np.full((32, 32, 3), 40 * value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with pytest.raises(CineError, match=r"c\.mp4: video with mpeg4 .*libx264"):
        read_cine(path)


@pytest.mark.skipif(
    not os.environ.get("TTEVIEW_TEST_PROGRAM"), reason="TTEVIEW_TEST_PROGRAM is not set"
)
@pytest.mark.filterwarnings("ignore")
def test_the_program_reads_every_case_for_the_model_kit(monkeypatch):
    monkeypatch.setenv(PROGRAM, os.environ["TTEVIEW_TEST_PROGRAM"])
    for name in NAMES:
        cine, case = read_case(name, load_cine), load_case(name)
        assert (cine is not None) == (case["expect"] == "frames"), name
        try:
            own = read_cine(CASES / name / case["input"])
        except CineError:
            continue
        assert own.times_ns == pytest.approx(cine.times_ns, abs=1000), name
        assert own.region == cine.region, name
        assert own.pixel_aspect == pytest.approx(cine.pixel_aspect, rel=1e-6), name


def test_a_program_that_does_not_exist_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(PROGRAM, str(tmp_path / "none"))
    with pytest.raises(CineError, match=r"TTEVIEW must be the path of the program"):
        load_cine(tmp_path / "c.dcm")
