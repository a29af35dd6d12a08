from dataclasses import replace

import pytest
import torch
from shapes import write_set

from tteview_train.average import average_checkpoints
from tteview_train.cli import main
from tteview_train.config import TrainConfig
from tteview_train.manifest import list_labels, read_manifest
from tteview_train.model_config import ModelConfig
from tteview_train.run_folder import RunError, load_run
from tteview_train.train import RunOptions, train


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("average")
    manifest = write_set(folder / "set", {"train": 2})
    labels = tuple(list_labels(read_manifest(manifest)))
    model = ModelConfig(len(labels), width=8, blocks=(1, 1, 1, 1), slow_frames=4, size_px=32)
    config = TrainConfig(model, labels, str(manifest), samples=32, epochs=1, batch=8, augment=False)
    for seed in (1, 2):
        train(replace(config, seed=seed), folder / f"run-{seed}", RunOptions("cpu", quiet=True))
    wide = replace(config, model=replace(model, width=16))
    train(wide, folder / "wide", RunOptions("cpu", quiet=True))
    return folder


def test_every_weight_is_the_mean(runs, tmp_path, capsys):
    paths = [runs / "run-1" / "best.pt", runs / "run-2" / "last.pt"]
    assert main(["average", *map(str, paths), "--out", str(tmp_path / "out")]) == 0
    assert "average of 2 checkpoints" in capsys.readouterr().out
    states = [load_run(path.parent, path.stem)[0].state_dict() for path in paths]
    found = load_run(tmp_path / "out")[0].state_dict()
    for name, value in found.items():
        mean = (states[0][name].double() + states[1][name].double()) / 2
        assert torch.allclose(value.double(), mean.to(value.dtype).double()), name
    changed = [name for name in found if not torch.equal(found[name], states[0][name])]
    assert any(name.endswith("weight") for name in changed)
    assert any(name.endswith("running_mean") for name in changed)
    assert load_run(tmp_path / "out")[1] == load_run(runs / "run-2")[1]


def test_checkpoints_that_do_not_fit_are_refused(runs, tmp_path):
    first, out = runs / "run-1" / "best.pt", tmp_path / "out"
    with pytest.raises(ValueError, match="at least two checkpoints, got 1"):
        average_checkpoints([first], out)
    with pytest.raises(RunError, match="the network or its labels differ"):
        average_checkpoints([first, runs / "wide" / "best.pt"], out)
    with pytest.raises(RunError, match=r"must be named best\.pt or last\.pt"):
        average_checkpoints([first, runs / "run-1" / "config.json"], out)
    assert not out.exists()
    average_checkpoints([first, first], out)
    with pytest.raises(RunError, match="set another --out"):
        average_checkpoints([first, first], out)
