import csv
import math

import numpy as np
import pytest
import torch
from shapes import write_set

from tteview_train.checkpoint import load_checkpoint
from tteview_train.cine_cache import Cache, SampleSettings
from tteview_train.cli import main
from tteview_train.config import TrainConfig
from tteview_train.manifest import list_labels, read_manifest
from tteview_train.model_config import ModelConfig
from tteview_train.reweight import ReweightError, compute_shifts, reweight
from tteview_train.run_folder import load_run
from tteview_train.streaming import run_cine
from tteview_train.train import RunOptions, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reweight")
    manifest = write_set(folder / "set", {"train": 3, "val": 1})
    labels = tuple(list_labels(read_manifest(manifest)))
    model = ModelConfig(len(labels), width=8, blocks=(1, 1, 1, 1), slow_frames=4, size_px=32)
    config = TrainConfig(
        model,
        labels,
        str(manifest),
        samples=32,
        epochs=1,
        batch=8,
        augment=False,
        balance="none",
        emphasis=((labels[1].code, 2.0),),
    )
    train(config, folder / "run", RunOptions("cpu", quiet=True))
    return folder / "run"


def write_frequencies(path, counts):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "count", "source"])
        writer.writerows([label, count, "test"] for label, count in counts.items())
    return path


def compute_posterior(run):
    model, config, _ = load_run(run)
    entries = read_manifest(run.parent / "set" / "manifest.csv")
    cache = Cache(run.parent / "cache", SampleSettings(config.model.size_px, 1))
    return np.exp(run_cine(model, cache.load(entries[0]), config).log_posterior[-1])


def test_the_posterior_is_multiplied_by_the_ratio_of_frequencies(run, tmp_path):
    codes = [label.code for label in load_run(run)[1].labels]
    wanted = {code: 100.0 * (number + 1) for number, code in enumerate(codes)}
    reweight(run, write_frequencies(tmp_path / "use.csv", wanted), tmp_path / "out")
    # Every class has three training cines, and the emphasis doubles the share of the second.
    trained = np.ones(len(codes))
    trained[1] = 2.0
    expected = compute_posterior(run) * np.array(list(wanted.values())) / trained
    actual = compute_posterior(tmp_path.joinpath("out").rename(run.parent / "out"))
    assert np.allclose(actual, expected / expected.sum(), rtol=1e-5)


def test_shifts_are_logarithms_of_the_ratios_of_shares():
    wanted, trained = {"A": 30.0, "B": 10.0}, {"A": 5.0, "B": 15.0, "C": 80.0}
    shifts = compute_shifts(wanted, trained, 1.0)
    assert shifts == pytest.approx({"A": math.log(0.75 / 0.25), "B": math.log(0.25 / 0.75)})
    half = compute_shifts(wanted, trained, 0.5)
    assert half == pytest.approx({label: shift / 2 for label, shift in shifts.items()})


def test_only_the_bias_of_named_labels_changes(run, tmp_path):
    codes = [label.code for label in load_run(run)[1].labels]
    file = write_frequencies(tmp_path / "use.csv", {codes[0]: 9, codes[1]: 1})
    result = reweight(run, file, tmp_path / "out")
    old, new = (load_checkpoint(folder / "best.pt")["model"] for folder in (run, tmp_path / "out"))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert len(changed) == 1
    bias = changed.pop()
    assert bias.endswith("proj.bias")
    assert torch.equal(old[bias][2:], new[bias][2:])
    assert result.kept == codes[2:]
    assert load_run(tmp_path / "out")[1] == load_run(run)[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,count\nNONE,1\n", "label must be one of"),
        ("label,count\n{0},1\n{0},2\n", "has a count already"),
        ("label,count\n{0},0\n", "count must be a number above 0, got '0'"),
        ("label,count\n{0},nan\n", "count must be a number above 0, got 'nan'"),
        ("label,count\n{0},inf\n", "count must be a number above 0, got 'inf'"),
        ("label,count\n{0},many\n", "count must be a number above 0, got 'many'"),
        ("label,count\n{0},1\n", "at least two labels need a count, got 1"),
        ("code,number\nA,1\n", "label must be one of"),
    ],
)
def test_wrong_frequencies_are_refused(run, tmp_path, text, message):
    file = tmp_path / "use.csv"
    file.write_text(text.format(load_run(run)[1].labels[0].code))
    with pytest.raises(ReweightError, match=message):
        reweight(run, file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_a_run_and_keeps_an_old_one(run, tmp_path, capsys):
    codes = [label.code for label in load_run(run)[1].labels]
    file = write_frequencies(tmp_path / "use.csv", dict.fromkeys(codes[:2], 1))
    arguments = ["reweight", "--run", str(run), "--frequencies", str(file)]
    arguments += ["--out", str(tmp_path / "out")]
    assert main([*arguments, "--weight", "1.5"]) == 1
    assert "weight must be 0 to 1, got 1.5" in capsys.readouterr().err
    assert main(arguments) == 0
    assert "added to the logits" in capsys.readouterr().out
    assert main(arguments) == 1
    assert "set another --out" in capsys.readouterr().err
