"""Tests of what `train` checks and reports at its start, and of the presets at their defaults."""

import csv

import numpy as np
import pytest
from PIL import Image
from shapes import CODES, write_set

from tteview_train import train as train_module
from tteview_train.checkpoint import load_checkpoint
from tteview_train.cli import main
from tteview_train.config import load_config
from tteview_train.model_config import PRESETS

SMALL = ["--width", "8", "--blocks", "1,1,1,1", "--size", "32", "--samples", "48"]
SMALL += ["--epochs", "1", "--batch", "4", "--device", "cpu", "--threads", "1"]


def write_manifest(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "patient", "split", "colour"))
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), {"train": 1, "val": 1})


def change_label(manifest, path, index, label):
    """Writes a manifest whose cine `index` has another label."""
    with manifest.open(newline="") as file:
        _, *rows = [row[:5] for row in csv.reader(file)]
    rows[index][1] = label
    for row in rows:
        row[0] = str(manifest.parent / row[0])
    return write_manifest(path, rows)


@pytest.mark.parametrize(("index", "label"), [(0, "disc"), (1, "RI NG"), (5, "BARS-"), (6, "CUBE")])
def test_an_unknown_label_is_an_error_without_a_list_of_labels(
    manifest, tmp_path, capsys, index, label
):
    # The first four cines are in the split train, and the others in val.
    wrong = change_label(manifest, tmp_path / "wrong.csv", index, label)
    run = ["train", "--manifest", str(wrong), "--out", str(tmp_path / "run"), *SMALL]
    assert main(run) == 1
    error = capsys.readouterr().err
    assert str(wrong) in error
    assert repr(label) in error
    assert not (tmp_path / "run").exists()


def test_a_set_without_validation_cines_is_reported_at_the_start(tmp_path, capsys, monkeypatch):
    manifest = write_set(tmp_path / "set", {"train": 1})
    run = ["train", "--manifest", str(manifest), "--out", str(tmp_path / "run"), *SMALL]

    def stop(*_):
        raise KeyboardInterrupt

    # The warning must appear before the first cine is decoded.
    with monkeypatch.context() as patch:
        patch.setattr(train_module.Cache, "fill", stop)
        assert main(run) == 130
    assert "no cine is in the split val" in capsys.readouterr().err
    assert main(run) == 0
    assert "not scored, because no cine is in val" in capsys.readouterr().out


def test_parts_of_a_batch_give_the_weights_of_the_whole_batch(tmp_path):
    # All cines are equal, so batch normalisation has the same statistics in each part.
    frames = np.random.default_rng(0).integers(0, 255, (24, 32, 32), dtype=np.uint8)
    rows = []
    for number in range(4):
        folder = tmp_path / f"c{number}"
        folder.mkdir()
        for t, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"{t}.png")
        rows.append((folder.name, CODES[number % 2], f"p{number}", "train", 0))
    manifest = write_manifest(tmp_path / "manifest.csv", rows)
    weights = []
    for size in ("0", "4", "1", "3"):
        out = tmp_path / f"run{size}"
        run = ["train", "--manifest", str(manifest), "--out", str(out), *SMALL, "--no-augment"]
        assert main([*run, "--dropout", "0", "--optimiser", "sgd", "--micro-batch", size]) == 0
        weights.append(load_checkpoint(out / "last.pt")["model"])
    whole, same, single, uneven = weights
    assert all((whole[name] == same[name]).all() for name in whole)
    trained = [name for name in whole if "running" not in name and "num_batches" not in name]
    for other in (single, uneven):
        for name in trained:
            difference = (whole[name] - other[name]).abs().max()
            assert difference <= 1e-4 * max(1, whole[name].abs().max()), name


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_trains_at_its_defaults(manifest, tmp_path, preset):
    run = ["train", "--manifest", str(manifest), "--out", str(tmp_path / "run"), "--epochs", "1"]
    # The size is the only default that is changed, to save time.
    assert main([*run, "--preset", preset, "--size", "32", "--device", "cpu"]) == 0
    config = load_config(tmp_path / "run")
    assert config.samples >= config.model.look_back + config.model.alpha
    assert config.micro_batch == (0 if preset == "slim" else 2)
