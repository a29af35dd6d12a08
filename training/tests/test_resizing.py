import json

import numpy as np
import pytest
import torch
from fixtures.make_samples import FILE, GEOMETRIES, draw_frame, format_cases
from PIL import Image

from tteview_train.cine_cache import SampleSettings, preprocess
from tteview_train.readers import Cine
from tteview_train.resizing import Resizing, parse_resizing, place_side, resize_image


def test_the_samples_that_the_library_is_tested_with_are_current():
    assert json.loads(FILE.read_text()) == json.loads(format_cases())


def test_sizes_and_cuts_are_those_of_torchvision():
    # torchvision 0.24.1 gives these sizes for Resize(256), and CenterCrop(224) then cuts off as
    # many pixels at the left and at the top.
    for width, height, resized, left, top in (
        (640, 480, (341, 256), 58, 16),
        (480, 640, (256, 341), 16, 58),
        (636, 422, (385, 256), 80, 16),
        (1016, 708, (367, 256), 72, 16),
        (1024, 768, (341, 256), 58, 16),
        (259, 255, (260, 256), 18, 16),
        (302, 301, (256, 256), 16, 16),
        (800, 1, (204800, 256), 102288, 16),
    ):
        assert Resizing("short_side", side=256).compute_size(width, height, 224) == resized
        assert [place_side(side, 224)[0] for side in resized] == [left, top]


@pytest.mark.parametrize("side", [7, 12, 15, 16, 17])
def test_a_sample_is_that_of_torchvision(side):
    transforms = pytest.importorskip("torchvision.transforms", reason="torchvision is optional")
    rule = Resizing("short_side", side=side)
    resize = transforms.Compose([transforms.Resize(side), transforms.CenterCrop(12)])
    stretch = transforms.Resize((12, 12))
    for width, height, region, _ in GEOMETRIES:
        frame = draw_frame(width, height, 3)
        cine = Cine([frame], [0], region)
        left, top, width, height = region or (0, 0, width, height)
        image = Image.fromarray(frame[top : top + height, left : left + width])
        sample = preprocess(frame, cine, SampleSettings(12, 3, rule))
        assert np.array_equal(sample.transpose(1, 2, 0), np.asarray(resize(image)))
        stretched = preprocess(frame, cine, SampleSettings(12, 3, Resizing("stretch", 12, 12)))
        assert np.array_equal(stretched.transpose(1, 2, 0), np.asarray(stretch(image)))


def test_antialiasing_is_that_of_pillow_or_missing_as_in_pytorch():
    image = Image.fromarray(draw_frame(40, 30, 3))
    with_filter = resize_image(image, (7, 5), True)
    assert np.array_equal(with_filter, np.asarray(image.resize((7, 5), Image.Resampling.BILINEAR)))
    without = resize_image(image, (7, 5), False).astype(int)
    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double()
    expected = torch.nn.functional.interpolate(planes, (5, 7), mode="bilinear")
    difference = np.abs(without - expected[0].permute(1, 2, 0).numpy())
    assert difference.max() <= 0.51
    assert np.abs(without - with_filter.astype(int)).max() > 50
    grey = image.convert("L")
    assert resize_image(grey, (7, 5), False).shape == (5, 7)
    assert np.array_equal(resize_image(grey, grey.size, False), np.asarray(grey))


def test_the_option_gives_the_rule_of_the_package():
    for text, rule in (
        ("letterbox", {"kind": "letterbox"}),
        ("stretch", {"kind": "stretch", "width": 112, "height": 112}),
        ("stretch=256x128", {"kind": "stretch", "width": 256, "height": 128}),
        ("short-side", {"kind": "short_side", "side": 112}),
        ("short-side=128", {"kind": "short_side", "side": 128}),
    ):
        assert parse_resizing(text, 112).to_package() == rule
        assert parse_resizing(text, 112, False).to_package() == {**rule, "antialias": False}
    for text in ("crop", "stretch=256", "short-side=", "short-side=1x1", "letterbox=3", ""):
        with pytest.raises(ValueError, match="--resize must be"):
            parse_resizing(text, 112)
    for text in ("short-side=0", "short-side=4097", "stretch=1x5000"):
        with pytest.raises(ValueError, match="1 to 4096"):
            parse_resizing(text, 112)


def test_a_rule_has_exactly_its_own_sizes():
    for values in (
        {"kind": "letterbox", "side": 5},
        {"kind": "stretch", "width": 5},
        {"kind": "stretch", "width": 5, "height": 5, "side": 5},
        {"kind": "short_side"},
        {"kind": "crop"},
    ):
        with pytest.raises(ValueError, match="resize must be letterbox"):
            Resizing(**values)
