"""Tests of the command line of tteview_train."""

import pytest
from shapes import write_set

from tteview_train.cli import _build_config, _build_parser
from tteview_train.config import parse_config
from tteview_train.model_config import PRESETS


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), {"train": 1})


def test_the_command_line_sets_the_lateral_reach(manifest):
    arguments = ["train", "--manifest", str(manifest), "--out", "run"]
    for given, reach in (([], 0), (["--lateral-reach", "2"], 2), (["--time", "centred"], 2)):
        config = _build_config(_build_parser().parse_args([*arguments, *given]))
        assert config.model.lateral_reach == reach
    given = ["--time", "centred", "--lateral-reach", "1"]
    with pytest.raises(ValueError, match=r"--lateral-reach must not be set .* got 1"):
        _build_config(_build_parser().parse_args([*arguments, *given]))


def test_the_command_line_sets_the_emphasis(manifest):
    arguments = ["train", "--manifest", str(manifest), "--out", "run", "--emphasis"]
    config = _build_config(_build_parser().parse_args([*arguments, "RING=2", "BARS=0.5"]))
    assert dict(config.emphasis) == {"RING": 2.0, "BARS": 0.5}
    assert parse_config(config.to_json()) == config
    for wrong in ("RING", "RING=x", "RING=0", "STAR=2"):
        with pytest.raises(ValueError, match="emphasis must"):
            _build_config(_build_parser().parse_args([*arguments, wrong]))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_trains_without_further_options(manifest, preset):
    arguments = ["train", "--manifest", str(manifest), "--out", "run", "--preset", preset]
    config = _build_config(_build_parser().parse_args(arguments))
    assert config.samples >= config.model.look_back + config.model.alpha


def test_ablate_does_not_accept_a_partial_run(manifest):
    arguments = ["ablate", "--manifest", str(manifest), "--out", "run", "--stop-after", "1"]
    with pytest.raises(SystemExit):
        _build_parser().parse_args(arguments)
