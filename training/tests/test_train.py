import csv
import errno
import itertools
import json
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from shapes import CODES, training_manifest, write_set

from tteview_train import checkpoint
from tteview_train.augment import AugmentSettings
from tteview_train.cli import main
from tteview_train.config import TrainConfig, config_from_json, load_config
from tteview_train.data import Cache, Decoded, SampleSettings
from tteview_train.dataset import TrainingSet, batches, choose_samples, plan_batches
from tteview_train.manifest import labels_of, of_split, read_manifest
from tteview_train.model import ModelConfig
from tteview_train.random_keys import keyed
from tteview_train.run_folder import load_run
from tteview_train.train import Machine, TrainError, learning_rate, loss_of, train
from tteview_train.validation import macro_f1, validate

QUIET = Machine(device="cpu", quiet=True)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), {"train": 3, "val": 1})


def config_for(manifest, **changes):
    labels = tuple(labels_of(read_manifest(manifest)))
    model = ModelConfig(len(labels), width=8, blocks=(1, 1, 1, 1), slow_frames=4, size_px=32)
    config = TrainConfig(model, labels, str(manifest), samples=32, epochs=2, batch=4)
    return replace(config, **changes)


def weights(run, name="last.pt"):
    return checkpoint.load_checkpoint(run / name)


def same(a, b):
    """Bit for bit, through dicts and lists."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return a == b


class Killed(BaseException):
    """Stands for a signal: nothing that catches errors catches it."""


@pytest.fixture(scope="module")
def uninterrupted(manifest, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    train(config_for(manifest), run, QUIET)
    return run


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("save_every", [0, 1, 2])
def test_killed_at_any_step_it_ends_in_the_same_weights(manifest, uninterrupted, tmp_path, step, save_every):
    config, machine = config_for(manifest), replace(QUIET, save_every=save_every)

    def kill(done):
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        train(config, tmp_path, machine, kill)
    train(config, tmp_path, machine)
    assert same(weights(tmp_path), weights(uninterrupted))
    assert same(weights(tmp_path, "best.pt"), weights(uninterrupted, "best.pt"))
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]


def test_a_training_stopped_after_an_epoch_goes_on_and_may_be_what_another_begins_with(
    manifest, uninterrupted, tmp_path
):
    config, run = config_for(manifest), tmp_path / "run"
    assert train(config, run, replace(QUIET, stop_after=1)).epoch == 1
    second = tmp_path / "second"
    # After one small step its weights are still near those it began with; batch statistics move faster.
    with pytest.raises(Killed):
        train(config, second, replace(QUIET, pretrained=run / "best.pt", save_every=1), kill_after_saving)
    learnt, begun = weights(run, "best.pt")["model"], weights(second)["average"]
    kernels = [name for name, value in learnt.items() if value.dim() > 1]
    assert kernels
    assert all(torch.allclose(learnt[name], begun[name], atol=0.01) for name in kernels)
    assert train(config, run, QUIET).epoch == 2
    assert same(weights(run), weights(uninterrupted))


def kill_after_saving(done):
    raise Killed


def test_another_seed_gives_other_weights_and_workers_change_nothing(manifest, uninterrupted, tmp_path):
    train(config_for(manifest), tmp_path / "workers", replace(QUIET, workers=2))
    assert same(weights(tmp_path / "workers"), weights(uninterrupted))
    train(config_for(manifest, seed=1), tmp_path / "seed", QUIET)
    assert not same(weights(tmp_path / "seed")["model"], weights(uninterrupted)["model"])


def test_a_finished_training_does_nothing_more_and_other_settings_are_refused(manifest, uninterrupted):
    before = (uninterrupted / "last.pt").stat().st_mtime_ns
    assert train(config_for(manifest), uninterrupted, QUIET).epoch == 2
    assert (uninterrupted / "last.pt").stat().st_mtime_ns == before
    with pytest.raises(TrainError, match=r"other settings(.|\n)*lr: 0.001 and 0.5"):
        train(config_for(manifest, lr=0.5), uninterrupted, QUIET)


def test_a_full_disk_leaves_the_last_good_checkpoint(manifest, uninterrupted, tmp_path, monkeypatch):
    config = config_for(manifest)
    with pytest.raises(Killed):
        train(config, tmp_path, QUIET, lambda done: (_ for _ in ()).throw(Killed) if done == 4 else None)
    good = (tmp_path / "last.pt").read_bytes()

    def torch_save(state, file):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", torch_save)
    with pytest.raises(TrainError, match=r"one before it is kept.*No space left"):
        train(config, tmp_path, QUIET)
    monkeypatch.undo()
    assert (tmp_path / "last.pt").read_bytes() == good
    assert not list(tmp_path.glob("*.tmp"))
    train(config, tmp_path, QUIET)
    assert same(weights(tmp_path), weights(uninterrupted))


def test_a_write_that_the_system_refuses_leaves_the_last_good_checkpoint(manifest, tmp_path):
    train(config_for(manifest, epochs=1), tmp_path, QUIET)
    good = (tmp_path / "last.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may be longer than half a checkpoint: write fails as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="last"):
            checkpoint.save_checkpoint(tmp_path / "last.pt", checkpoint.load_checkpoint(tmp_path / "last.pt"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "last.pt").read_bytes() == good
    assert not list(tmp_path.glob("*.tmp"))


def test_a_disk_that_is_full_at_the_sync_keeps_the_file_too(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    checkpoint.save_checkpoint(path, {"a": torch.ones(2)})

    def fsync(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save_checkpoint(path, {"a": torch.zeros(2)})
    assert torch.equal(checkpoint.load_checkpoint(path)["a"], torch.ones(2))


def test_a_loss_that_is_no_number_stops_with_a_message(manifest, tmp_path):
    with pytest.raises(TrainError, match=r"loss is (nan|inf) in epoch .*--lr"):
        train(config_for(manifest, optimiser="sgd", lr=1e30, warmup=0.0), tmp_path, QUIET)


def test_settings_survive_json(manifest):
    config = config_for(manifest)
    assert config_from_json(config.to_json()) == config


def test_sequences_must_be_longer_than_the_look_back(manifest):
    with pytest.raises(ValueError, match=r"look-back of 26.*--samples 32"):
        config_for(manifest, samples=28)
    with pytest.raises(ValueError, match="whole chunks"):
        config_for(manifest, samples=33)


def test_half_precision_without_a_gpu_is_refused(manifest, tmp_path):
    with pytest.raises(TrainError, match="fp16 needs a CUDA"):
        train(config_for(manifest, precision="fp16"), tmp_path, QUIET)


def test_bf16_on_a_cpu_is_close_to_single_precision(manifest, uninterrupted, tmp_path):
    train(config_for(manifest, precision="bf16"), tmp_path, QUIET)
    whole, half = (
        {row["loss"] for row in csv.DictReader((r / "log.csv").open())} for r in (uninterrupted, tmp_path)
    )
    assert whole != half
    assert sum(map(float, half)) == pytest.approx(sum(map(float, whole)), rel=0.05)


def test_every_process_gets_the_same_number_of_steps_and_no_cine_twice():
    draws = list(range(21))
    plans = [plan_batches(draws, 0, 4, rank, 2) for rank in (0, 1)]
    assert [len(batch) for batch in plans[0]] == [len(batch) for batch in plans[1]] == [4, 4, 3]
    shown = [index for plan in plans for batch in plan for index, _, _ in batch]
    assert sorted(shown) == sorted([*draws, 0])
    places = [place for plan in plans for batch in plan for _, _, place in batch]
    assert sorted(places) == list(range(22))


def test_the_loss_does_not_see_chunks_beyond_the_end(manifest):
    config = config_for(manifest, chunk_weight=0.5)
    logits = torch.randn(2, 5, 4)
    valid = torch.tensor([[True] * 5, [True, True, False, False, False]])
    labels = torch.tensor([1, 2])
    loss, mean = loss_of(logits, valid, labels, config)
    moved = logits.clone()
    moved[1, 2:] += 100
    assert loss_of(moved, valid, labels, config)[0] == loss
    assert torch.allclose(mean[1], logits[1, :2].mean(0))
    pure = replace(config, chunk_weight=0.0)
    expected = torch.nn.functional.cross_entropy(mean, labels)
    assert torch.allclose(loss_of(logits, valid, labels, pure)[0], expected)


def test_the_learning_rate_rises_and_falls_to_zero(manifest):
    config = config_for(manifest, warmup=0.1, lr=1.0)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == rates[9] == 1.0
    assert rates[-1] < 0.001
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_a_short_cine_repeats_its_last_frame_and_a_gap_is_not_crossed(manifest):
    config = config_for(manifest, augment=False)
    period = config.model.interval_ns
    short = Decoded(np.zeros((5, 1, 32, 32), np.uint8), np.arange(5, dtype=np.int64) * period)
    assert choose_samples(short, keyed(0), config) == ([0, 1, 2, 3, 4] + [4] * 27, 5)
    times = np.arange(80, dtype=np.int64) * period
    times[40:] += 1_000_000_000
    gap = Decoded(np.zeros((80, 1, 32, 32), np.uint8), times)
    sides = set()
    for n in range(40):
        frames, decided = choose_samples(gap, keyed(n), config)
        assert decided == 32
        assert (min(frames) >= 40) == (max(frames) >= 40)
        sides.add(frames[0] >= 40)
    assert sides == {True, False}


def test_a_still_is_one_frame_for_the_whole_sequence(manifest, tmp_path):
    entries = of_split(manifest, read_manifest(manifest), "train")
    cache = Cache(tmp_path, SampleSettings(32, 1))
    unchanged = AugmentSettings().scaled(0.0)
    for still_p in (0.0, 1.0):
        config = config_for(manifest, augment_settings=replace(unchanged, still_p=still_p, background_p=0.0))
        moving = [
            bool((samples != samples[:, :1]).any())
            for samples, _, _ in (TrainingSet(entries, cache, config)[(n, 0, n)] for n in range(12))
        ]
        assert not any(moving) if still_p else all(moving)


def test_batches_are_whole_sequences_with_labels(manifest, tmp_path):
    config = config_for(manifest)
    entries = of_split(manifest, read_manifest(manifest), "train")
    dataset = TrainingSet(entries, Cache(tmp_path, SampleSettings(32, 1)), config)
    first = next(iter(batches(dataset, list(range(12)), 0)))
    assert first[0].shape == (4, 1, 32, 32, 32)
    assert first[0].dtype == torch.uint8
    # 24 frames at the sample interval are six chunks, or a little more or less with another rate.
    assert 3 <= int(first[1][0].sum()) <= 8
    assert first[2].tolist() == [dataset.labels[i] for i in range(4)]


def test_macro_f1_is_the_mean_over_classes_that_occur():
    # Class 0: precision 2/3, recall 1; class 1: precision 1, recall 1/2; class 2 does not occur.
    assert macro_f1([0, 0, 1, 1], [0, 0, 0, 1]) == pytest.approx((0.8 + 2 / 3) / 2)
    assert macro_f1([0, 1], [2, 2]) == 0


def test_training_beats_chance_on_patients_it_has_not_seen(tmp_path):
    """Two epochs; four classes, so chance is an accuracy of 0.25: at least 0.55 is asked for."""
    manifest = training_manifest(tmp_path / "set")
    config = config_for(manifest, epochs=2, batch=2, lr=3e-3, ema=0.8, balance="oversample")
    config = replace(config, model=replace(config.model, width=16, size_px=48, dropout=0.1), chunk_weight=0.5)
    train(config, tmp_path / "run", QUIET)
    model, config, _ = load_run(tmp_path / "run", "last")
    entries = read_manifest(manifest)
    unseen = [entry for entry in entries if entry.split in ("val", "test")]
    scores = validate(model, unseen, Cache(tmp_path / "run" / "cache", SampleSettings(48, 1)), config)
    assert len(config.labels) == 4
    assert scores.accuracy >= 0.55, scores


def test_the_command_line_trains_and_says_what_is_wrong(manifest, tmp_path, capsys):
    arguments = ["train", "--manifest", str(manifest), "--out", str(tmp_path / "run"), "--epochs", "1"]
    arguments += ["--width", "8", "--blocks", "1,1,1,1", "--size", "32", "--batch", "6", "--threads", "1"]
    assert main(arguments) == 0
    assert load_config(tmp_path / "run").samples == 32
    codes = [label["code"] for label in json.loads((tmp_path / "run" / "labels.json").read_text())]
    assert codes == sorted(CODES)
    assert "drawn" in (tmp_path / "run" / "log.csv").read_text()
    capsys.readouterr()
    arguments[2] = str(tmp_path / "gone.csv")
    assert main(arguments) == 1
    assert "gone.csv" in capsys.readouterr().err
