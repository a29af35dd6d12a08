from collections import Counter
from dataclasses import replace

import pytest
from shapes import CODES, write_set

import tteview_train.ablate as ablate_module
from tteview_train.ablate import ablate, imbalanced, spread
from tteview_train.config import TrainConfig
from tteview_train.manifest import ManifestError, labels_of, read_manifest
from tteview_train.model import ModelConfig
from tteview_train.train import Machine

QUIET = Machine("cpu", quiet=True)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), {"train": 4, "val": 1, "test": 1}, frames=16)


def test_every_second_class_becomes_rare_and_other_splits_stay(manifest, tmp_path):
    out = tmp_path / "rare.csv"
    imbalanced(manifest, out, sorted(CODES), 4)
    entries = read_manifest(out)
    train = Counter(entry.label for entry in entries if entry.split == "train")
    assert [train[code] for code in sorted(CODES)] == [4, 1, 4, 1]
    assert sum(entry.split != "train" for entry in entries) == 8
    assert all(entry.path.is_dir() for entry in entries)
    assert entries[0].attributes.keys() == {"colour", "probe"}


def test_a_ratio_that_cannot_be_reached_is_an_error(manifest, tmp_path):
    with pytest.raises(ManifestError, match=r"4 training cines .* 20 to 1 needs at least 20"):
        imbalanced(manifest, tmp_path / "rare.csv", sorted(CODES), 20)


def test_the_table_has_mean_and_spread():
    assert spread([0.5]) == "0.500"
    assert spread([0.5, 0.7]) == "0.600 (0.500 to 0.700)"
    assert spread([]) == "-"


def test_ablations_fill_the_table_and_finished_runs_are_not_run_again(manifest, tmp_path, monkeypatch):
    labels = tuple(labels_of(read_manifest(manifest)))
    model = ModelConfig(4, width=8, blocks=(1, 1, 1, 1), slow_frames=4, size_px=24)
    config = TrainConfig(model, labels, str(manifest), samples=32, epochs=1, batch=8)
    runs = []
    train = ablate_module.train
    monkeypatch.setattr(
        ablate_module, "train", lambda config, run, m: (runs.append(run.name), train(config, run, m))
    )
    arguments = (tmp_path, [0, 1], 4, 16, manifest, QUIET)
    text = ablate(config, *arguments).read_text()
    # Eight rows, of which three are the reference: six runs per seed.
    assert len(runs) == len(set(runs)) == 12
    rows = [line for line in text.splitlines() if line.startswith("| ") and " to " in line]
    assert len(rows) == 8
    assert all("| 2 |" in row for row in rows)
    again = ablate(config, *arguments).read_text()
    assert len(runs) == 12
    assert again == text
    with pytest.raises(ValueError, match="causal"):
        ablate(replace(config, model=replace(model, time="centred")), *arguments)
