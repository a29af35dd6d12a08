from dataclasses import replace

import numpy as np
import pytest
import torch

from tteview_train.augment import augment, jitter_times
from tteview_train.augment_settings import AugmentSettings
from tteview_train.overlay import find_outside
from tteview_train.seeding import make_generator

SETTINGS = AugmentSettings()
OFF = replace(SETTINGS.remove_geometry().remove_appearance(), sector_p=0.0, background_p=0.0)


def draw_disc(frames=6, size=48):
    """Draws a bright, motionless disc on a black background."""
    y, x = np.mgrid[0:size, 0:size]
    disc = (np.hypot(y - size / 2, x - size / 2) < size / 3) * 160
    return np.repeat(disc[None, None].astype(np.uint8), frames, 0)


def test_equal_keys_give_equal_cines_and_others_differ():
    frames = draw_disc()
    a, b, c = (augment(frames, "A4C", make_generator(1, 3, n), SETTINGS) for n in (5, 5, 6))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_values_stay_in_range_and_the_source_does_not_change():
    frames = draw_disc()
    frames.setflags(write=False)
    for n in range(60):
        out = augment(frames, "A4C", make_generator(0, n), SETTINGS)
        assert out.shape == frames.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert out.min() >= 0
        assert out.max() <= 255


def test_no_augmentation_changes_only_the_darkest_greys():
    frames = draw_disc()
    out = augment(frames, "A4C", make_generator(0), OFF)
    assert np.abs(out - frames).max() < 1.0


def test_a_grey_cine_gets_a_colour_map_that_keeps_black_and_order():
    grey = draw_disc()
    grey[:, :, :, 24:] //= 2
    frames = grey.repeat(3, 1)
    out = augment(frames, "A4C", make_generator(2), replace(OFF, tint_p=1.0))
    assert out.shape == frames.shape
    assert not np.allclose(out[:, 0], out[:, 1], atol=1)
    for channel in range(3):
        plane = out[0, channel]
        assert (plane[grey[0, 0] == 0] == 0).all()
        assert plane[grey[0, 0] == 80].max() < plane[grey[0, 0] == 160].min()
    untinted = augment(frames, "A4C", make_generator(2), OFF)
    assert np.array_equal(untinted, augment(grey, "A4C", make_generator(2), OFF).repeat(3, 1))


def test_a_coloured_cine_keeps_its_colours():
    frames = draw_disc().repeat(3, 1)
    frames[:, 1:] = 0
    out = augment(frames, "A4C", make_generator(2), replace(OFF, tint_p=1.0))
    assert np.abs(out - frames).max() < 1.0


def test_marks_have_the_colours_of_all_channels():
    frames = draw_disc().repeat(3, 1)
    settings = replace(OFF, background_p=1.0)
    coloured = 0
    for n in range(20):
        out = augment(frames, "A4C", make_generator(5, n), settings)
        coloured += not np.array_equal(out[:, 0], out[:, 1])
    assert 3 <= coloured <= 17


def test_all_frames_have_the_same_geometry():
    out = augment(
        draw_disc(),
        "A4C",
        make_generator(4),
        replace(SETTINGS, speckle_p=0, noise_p=0, background_p=0),
    )
    assert np.allclose(out, out[:1], atol=1e-3)
    assert np.abs(out[0] - draw_disc()[0]).max() > 50


def test_shading_does_not_move_and_keeps_black():
    dark = draw_disc() // 2
    for n in range(10):
        out = augment(dark, "A4C", make_generator(n), replace(OFF, shade_p=1.0, shade=(0.5, 0.5)))
        assert np.allclose(out, out[:1], atol=1e-3)
        assert (out[dark == 0] == 0).all()
        bright = out[dark > 0]
        assert bright.max() > 1.3 * bright.min()


def test_views_defined_by_their_zoom_keep_it():
    def measure_area(label, n):
        wide = replace(OFF, crop=(0.7, 0.72), zoom_defined_crop=(0.95, 1.0), zoom_out=1.0)
        return (augment(draw_disc(2), label, make_generator(0, n), wide)[0] > 80).mean()

    plain = (draw_disc(2)[0] > 80).mean()
    for n in range(10):
        assert measure_area("A4C-RV", n) < 1.2 * plain
    assert max(measure_area("A4C", n) for n in range(10)) > 1.5 * plain


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_images_are_flipped_only_on_request(flip):
    frames = np.zeros((2, 1, 32, 32), np.uint8)
    frames[..., :10] = 200
    for n in range(10):
        out = augment(frames, "A4C", make_generator(n), replace(OFF, flip_p=flip))
        assert (out[..., :10].mean() > out[..., -10:].mean()) == (flip == 0)


def test_the_background_changes_only_outside_the_image():
    frames = draw_disc(8)
    inside = ~find_outside(torch.from_numpy(frames / 255.0), None)
    changed = 0
    for n in range(30):
        out = augment(frames, "A4C", make_generator(n), replace(OFF, background_p=1.0))
        assert np.abs(out - frames)[:, :, inside].max() < 1.5
        changed += np.abs(out - frames)[:, :, ~inside].max() > 20
    assert changed > 15


def test_a_heart_that_gain_turns_black_is_not_painted_over():
    frames = draw_disc(8) // 8
    inside = ~find_outside(torch.from_numpy(frames / 255.0), None)
    assert inside.any()
    for n in range(10):
        out = augment(frames, "A4C", make_generator(n), replace(OFF, offset=0.12, background_p=1.0))
        assert np.ptp(out[:, :, inside]) < 1e-3


def test_gain_in_decibels_shifts_grey_and_keeps_black():
    frames = draw_disc()
    shifts = []
    for n in range(40):
        out = augment(frames, "A4C", make_generator(n), replace(OFF, offset=0.1))
        assert (out[frames == 0] == 0).all()
        shifts.append(float(out[frames > 0].mean()) - 160)
    assert -0.1 * 256 <= min(shifts) < -0.08 * 255
    assert 0.08 * 255 < max(shifts) <= 0.1 * 256


def test_cavities_are_inside_the_image():
    frames = torch.from_numpy(draw_disc(2) / 255.0)
    frames[:, :, 20:28, 20:28] = 0
    outside = find_outside(frames, None)
    assert not outside[24, 24]
    assert outside[0, 0]


def test_frames_and_rate_change_within_their_limits():
    times = np.arange(60, dtype=np.int64) * 33_333_333
    kept = []
    for n in range(200):
        frames, rate = jitter_times(times, make_generator(n), SETTINGS)
        assert frames == sorted(set(frames))
        assert frames
        assert SETTINGS.rate[0] <= rate <= SETTINGS.rate[1]
        kept.append(len(frames))
    assert min(kept) <= 20
    assert max(kept) == 60
    one, _ = jitter_times(
        times[:1], make_generator(0), replace(SETTINGS, drop_frames_p=1.0, drop_frames=1.0)
    )
    assert one == [0]


@pytest.mark.parametrize(("period_ms", "thinnest"), [(20, 3), (37, 3), (50, 2), (57, 1)])
def test_thinning_keeps_at_least_nine_frames_per_second(period_ms, thinnest):
    times = np.arange(60, dtype=np.int64) * period_ms * 1_000_000
    steps = set()
    for n in range(100):
        frames, _ = jitter_times(times, make_generator(n), replace(SETTINGS, drop_frames_p=0.0))
        steps |= set(np.diff(frames).tolist())
    assert steps == set(range(1, thinnest + 1))


def test_colour_cines_keep_their_shape():
    out = augment(np.repeat(draw_disc(), 3, 1), "A4C", make_generator(2), SETTINGS)
    assert out.shape == (6, 3, 48, 48)


def test_strength_scales_from_no_change_to_the_settings():
    assert SETTINGS.scale(1.0) == SETTINGS
    none = replace(SETTINGS.scale(0.0), background_p=0.0)
    frames = draw_disc()
    for n in range(10):
        assert np.abs(augment(frames, "A4C", make_generator(n), none) - frames).max() < 1.0
        kept, rate = jitter_times(np.arange(20) * 33_333_333, make_generator(n), none)
        assert kept == list(range(20))
        assert rate == 1.0
    half = SETTINGS.scale(0.5)
    assert half.crop[0] == pytest.approx((1 + SETTINGS.crop[0]) / 2)
    assert half.gamma[1] == pytest.approx(SETTINGS.gamma[1] ** 0.5)


@pytest.mark.parametrize("change", ["perspective", "warp"])
def test_perspective_and_warp_move_all_frames_alike(change):
    frames = draw_disc()
    settings = replace(OFF, **{f"{change}_p": 1.0})
    changed = 0
    for n in range(10):
        out = augment(frames, "A4C", make_generator(n), settings)
        assert np.allclose(out, out[:1], atol=1e-3)
        assert 0.4 < out.sum() / frames.sum() < 2.5
        changed += np.abs(out - frames).mean() > 1
    assert changed >= 8


def test_perspective_magnifies_one_side_more():
    frames = np.zeros((1, 1, 64, 64), np.uint8)
    frames[..., 28:36, 8:16] = frames[..., 28:36, 48:56] = 200
    ratios = []
    for n in range(30):
        out = augment(frames, "A4C", make_generator(n), replace(OFF, perspective_p=1.0))
        ratios.append(out[..., :32].sum() / out[..., 32:].sum())
    assert min(ratios) < 0.8
    assert max(ratios) > 1.25


def test_a_grey_curve_keeps_the_order_of_grey_values():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, None, None], 4, 2)
    for n in range(10):
        out = augment(ramp, "A4C", make_generator(n), replace(OFF, curve_p=1.0))[0, 0, 0]
        assert (np.diff(out) >= 0).all()
        assert np.abs(out - ramp[0, 0, 0]).max() > 5


def test_shadows_darken_and_do_not_move():
    frames = draw_disc()
    plain = augment(frames, "A4C", make_generator(0), OFF)
    darker = 0
    for n in range(10):
        out = augment(frames, "A4C", make_generator(n), replace(OFF, shadow_p=1.0))
        assert np.allclose(out, out[:1], atol=1e-3)
        assert (out <= plain + 1e-3).all()
        darker += out.sum() < 0.97 * plain.sum()
    assert darker >= 7


def test_persistence_mixes_a_frame_with_those_before_it():
    frames = np.zeros((4, 1, 32, 32), np.uint8)
    frames[0] = 200
    settings = replace(OFF, persistence_p=1.0)
    for n in range(5):
        brightness = augment(frames, "A4C", make_generator(n), settings).mean((1, 2, 3))
        assert (np.diff(brightness) < 0).all()
        assert brightness[1] > 0


def test_noise_changes_from_frame_to_frame():
    out = augment(draw_disc(), "A4C", make_generator(3), replace(OFF, noise_p=1.0))
    assert np.abs(out[0] - out[1]).mean() > 0.5


def test_a_lower_resolution_removes_fine_detail():
    stripes = np.zeros((2, 1, 64, 64), np.uint8)
    stripes[..., ::2] = 200
    for n in range(5):
        out = augment(stripes, "A4C", make_generator(n), replace(OFF, coarse_p=1.0))
        assert out.std() < 0.9 * stripes.std()
        assert abs(out.mean() - stripes.mean()) < 8
