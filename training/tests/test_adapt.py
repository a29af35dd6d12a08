import csv

import pytest
import torch
from PIL import Image
from shapes import write_set

from tteview_train.adapt import AdaptError, adapt
from tteview_train.checkpoint import load_checkpoint
from tteview_train.cine_cache import Cache, SampleSettings
from tteview_train.cli import main
from tteview_train.config import TrainConfig
from tteview_train.manifest import list_labels, read_manifest, read_unlabelled_manifest
from tteview_train.model_config import ModelConfig
from tteview_train.run_folder import load_run
from tteview_train.train import RunOptions, train
from tteview_train.validation import validate


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapt")
    manifest = write_set(folder / "set", {"train": 12, "val": 3})
    labels = tuple(list_labels(read_manifest(manifest)))
    model = ModelConfig(len(labels), width=8, blocks=(1, 1, 1, 1), slow_frames=4, size_px=32)
    config = TrainConfig(
        model, labels, str(manifest), samples=32, epochs=30, batch=8, lr=4e-3, augment=False
    )
    train(config, folder / "run", RunOptions("cpu", quiet=True))
    return folder / "run"


@pytest.fixture(scope="module")
def bright(tmp_path_factory):
    """The manifest of cines from a scanner with little contrast."""
    folder = tmp_path_factory.mktemp("bright")
    manifest = write_set(folder, {"test": 12}, seed=1)
    for path in folder.glob("*/*.png"):
        image = Image.open(path).point(lambda grey: round(60 + grey / 2))
        image.save(path)
    return manifest


def score(run, manifest):
    model, config, _ = load_run(run)
    cache = Cache(manifest.parent / "cache", SampleSettings(config.model.size_px, 1))
    return validate(model, read_manifest(manifest), cache, config).accuracy


def remove_labels(manifest, out, keep=lambda _: True):
    with manifest.open(newline="") as file:
        names = [row["path"] for row in csv.DictReader(file) if keep(row["path"])]
    out.write_text("path\n" + "".join(f"{manifest.parent / name}\n" for name in names))
    return out


def test_adaptation_recovers_accuracy_on_a_new_scanner(run, bright, tmp_path):
    entries = read_unlabelled_manifest(remove_labels(bright, tmp_path / "new.csv"))
    result = adapt(run, entries, tmp_path / "out", all_views=True)
    before, after = score(run, bright), score(tmp_path / "out", bright)
    assert score(run, run.parent / "set" / "manifest.csv") > 0.9
    assert before < 0.7
    assert after > before + 0.2
    assert result.cines == 48
    assert result.weight == 48 / (48 + 2)
    assert result.changed > 0


def test_only_the_statistics_of_normalisation_change(run, bright, tmp_path):
    entries = read_unlabelled_manifest(remove_labels(bright, tmp_path / "new.csv"))
    adapt(run, entries, tmp_path / "out", all_views=True)
    old, new = (load_checkpoint(folder / "best.pt")["model"] for folder in (run, tmp_path / "out"))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == {name for name in old if name.endswith(("running_mean", "running_var"))}


def test_a_large_prior_keeps_the_statistics(run, bright, tmp_path):
    entries = read_unlabelled_manifest(remove_labels(bright, tmp_path / "new.csv"))
    result = adapt(run, entries, tmp_path / "out", prior=1e9, all_views=True)
    old, new = (load_checkpoint(folder / "best.pt")["model"] for folder in (run, tmp_path / "out"))
    assert result.changed == 0
    for name, value in old.items():
        assert torch.allclose(value.double(), new[name].double(), rtol=1e-4, atol=1e-5), name


def test_cines_of_too_few_views_are_refused(run, bright, tmp_path):
    source = run.parent / "set" / "manifest.csv"
    discs = remove_labels(source, tmp_path / "discs.csv", lambda name: "DISC" in name)
    with pytest.raises(AdaptError, match="must predict at least 4 labels"):
        adapt(run, read_unlabelled_manifest(discs), tmp_path / "out")
    few = remove_labels(source, tmp_path / "few.csv", lambda name: name.endswith("_3"))
    with pytest.raises(AdaptError, match="at least 8 cines, got 4"):
        adapt(run, read_unlabelled_manifest(few), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_a_run_and_keeps_an_old_one(run, bright, tmp_path, capsys):
    manifest = remove_labels(bright, tmp_path / "new.csv")
    arguments = ["adapt", "--run", str(run), "--manifest", str(manifest), "--all-views"]
    arguments += ["--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "adapted to 48 cines" in capsys.readouterr().out
    assert load_run(tmp_path / "out")[1] == load_run(run)[1]
    assert main(arguments) == 1
    assert "set another --out" in capsys.readouterr().err
