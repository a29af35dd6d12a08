import csv
import errno
import itertools
import json
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from shapes import CODES, write_set, write_training_manifest

from tteview_train import checkpoint
from tteview_train.augment_settings import AugmentSettings
from tteview_train.cine_cache import Cache, DecodedCine, SampleSettings
from tteview_train.cli import main
from tteview_train.config import TrainConfig, load_config, parse_config
from tteview_train.dataset import TrainingSet, choose_samples, load_batches, plan_batches
from tteview_train.loss import compute_loss
from tteview_train.manifest import list_labels, read_manifest, select_split
from tteview_train.model_config import ModelConfig
from tteview_train.optimiser import compute_learning_rate
from tteview_train.run_folder import load_run
from tteview_train.seeding import make_generator
from tteview_train.train import RunOptions, TrainError, train
from tteview_train.validation import compute_macro_f1, validate

QUIET = RunOptions(device="cpu", quiet=True)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), {"train": 3, "val": 1})


def build_config(manifest, **changes):
    labels = tuple(list_labels(read_manifest(manifest)))
    model = ModelConfig(len(labels), width=8, blocks=(1, 1, 1, 1), slow_frames=4, size_px=32)
    config = TrainConfig(model, labels, str(manifest), samples=32, epochs=2, batch=4)
    return replace(config, **changes)


def load_weights(run, name="last.pt"):
    return checkpoint.load_checkpoint(run / name)


def are_equal(a, b):
    """Compares dicts, lists and tensors bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(are_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(are_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return a == b


class Killed(BaseException):
    """Simulates a signal that ends the process: handlers of `Exception` do not catch it."""


@pytest.fixture(scope="module")
def whole_run(manifest, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    train(build_config(manifest), run, QUIET)
    return run


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("save_every", [0, 1, 2])
def test_a_killed_training_ends_in_the_same_weights(
    manifest, whole_run, tmp_path, step, save_every
):
    config, options = build_config(manifest), replace(QUIET, save_every=save_every)

    def kill(done):
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        train(config, tmp_path, options, kill)
    train(config, tmp_path, options)
    assert are_equal(load_weights(tmp_path), load_weights(whole_run))
    assert are_equal(load_weights(tmp_path, "best.pt"), load_weights(whole_run, "best.pt"))
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]


def test_a_stopped_training_continues_and_can_start_another(manifest, whole_run, tmp_path):
    config, run = build_config(manifest), tmp_path / "run"
    assert train(config, run, replace(QUIET, stop_after=1)).epoch == 1
    second = tmp_path / "second"
    # The second run starts from the weights of the first run and takes only one small step, so its
    # kernels must still be close to the kernels of the first run.
    with pytest.raises(Killed):
        train(
            config,
            second,
            replace(QUIET, pretrained=run / "best.pt", save_every=1),
            kill_after_saving,
        )
    learnt, begun = load_weights(run, "best.pt")["model"], load_weights(second)["average"]
    kernels = [name for name, value in learnt.items() if value.dim() > 1]
    assert kernels
    assert all(torch.allclose(learnt[name], begun[name], atol=0.01) for name in kernels)
    assert train(config, run, QUIET).epoch == 2
    assert are_equal(load_weights(run), load_weights(whole_run))


def kill_after_saving(done):
    raise Killed


def test_the_seed_changes_the_weights_and_workers_do_not(manifest, whole_run, tmp_path):
    train(build_config(manifest), tmp_path / "workers", replace(QUIET, workers=2))
    assert are_equal(load_weights(tmp_path / "workers"), load_weights(whole_run))
    train(build_config(manifest, seed=1), tmp_path / "seed", QUIET)
    assert not are_equal(load_weights(tmp_path / "seed")["model"], load_weights(whole_run)["model"])


def test_a_finished_run_does_not_train_and_keeps_its_settings(manifest, whole_run):
    before = (whole_run / "last.pt").stat().st_mtime_ns
    assert train(build_config(manifest), whole_run, QUIET).epoch == 2
    assert (whole_run / "last.pt").stat().st_mtime_ns == before
    with pytest.raises(TrainError, match=r"other settings(.|\n)*lr: 0.001 and 0.5"):
        train(build_config(manifest, lr=0.5), whole_run, QUIET)


def test_a_full_disk_leaves_the_last_checkpoint(manifest, whole_run, tmp_path, monkeypatch):
    config = build_config(manifest)
    with pytest.raises(Killed):
        train(
            config,
            tmp_path,
            QUIET,
            lambda done: (_ for _ in ()).throw(Killed) if done == 4 else None,
        )
    good = (tmp_path / "last.pt").read_bytes()

    def torch_save(state, file):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", torch_save)
    with pytest.raises(TrainError, match=r"No space left.*the previous one remains"):
        train(config, tmp_path, QUIET)
    monkeypatch.undo()
    assert (tmp_path / "last.pt").read_bytes() == good
    assert not list(tmp_path.glob("*.tmp"))
    train(config, tmp_path, QUIET)
    assert are_equal(load_weights(tmp_path), load_weights(whole_run))


def test_a_refused_write_leaves_the_last_checkpoint(manifest, tmp_path):
    train(build_config(manifest, epochs=1), tmp_path, QUIET)
    good = (tmp_path / "last.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files are limited to half the size of a checkpoint, so that writing fails, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="last"):
            checkpoint.save_checkpoint(
                tmp_path / "last.pt", checkpoint.load_checkpoint(tmp_path / "last.pt")
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "last.pt").read_bytes() == good
    assert not list(tmp_path.glob("*.tmp"))


def test_a_disk_that_is_full_at_the_sync_keeps_the_file(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    checkpoint.save_checkpoint(path, {"a": torch.ones(2)})

    def fsync(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save_checkpoint(path, {"a": torch.zeros(2)})
    assert torch.equal(checkpoint.load_checkpoint(path)["a"], torch.ones(2))


def test_a_loss_that_is_not_finite_stops_the_training(manifest, tmp_path):
    with pytest.raises(TrainError, match=r"loss is (nan|inf) in epoch .*--lr"):
        train(build_config(manifest, optimiser="sgd", lr=1e30, warmup=0.0), tmp_path, QUIET)


def test_settings_survive_json(manifest):
    config = build_config(manifest)
    assert parse_config(config.to_json()) == config


@pytest.mark.parametrize("kernel", [5, 7])
def test_a_run_without_a_lateral_reach_is_centred_there(manifest, whole_run, tmp_path, kernel):
    values = json.loads((whole_run / "config.json").read_text())
    del values["model"]["lateral_reach"]
    values["model"]["lateral_kernel"] = kernel
    config = parse_config(json.dumps(values))
    assert config.model.lateral_reach == kernel // 2
    if kernel == 5:
        (tmp_path / "config.json").write_text(json.dumps(values))
        (tmp_path / "best.pt").write_bytes((whole_run / "best.pt").read_bytes())
        model, loaded, _ = load_run(tmp_path)
        assert loaded == config
        conv = model.blocks[0].multipathway_fusion.conv_fast_to_slow
        assert conv.padding == (2, 0, 0)


def test_a_sequence_must_be_longer_than_the_look_back(manifest):
    with pytest.raises(ValueError, match=r"look-back of 28.*--samples 32"):
        build_config(manifest, samples=28)
    assert build_config(manifest, samples=8, allow_short=True).samples == 8
    with pytest.raises(ValueError, match="samples must be a positive multiple of alpha"):
        build_config(manifest, samples=33)


def test_half_precision_without_a_gpu_is_refused(manifest, tmp_path):
    with pytest.raises(TrainError, match="fp16 needs a CUDA"):
        train(build_config(manifest, precision="fp16"), tmp_path, QUIET)


def read_losses(run):
    with (run / "log.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_bf16_on_a_cpu_is_close_to_single_precision(manifest, whole_run, tmp_path):
    train(build_config(manifest, precision="bf16"), tmp_path, QUIET)
    single, half = (read_losses(run) for run in (whole_run, tmp_path))
    assert single != half
    assert sum(half) == pytest.approx(sum(single), rel=0.05)


def test_processes_share_the_draws_in_equally_many_steps():
    draws = list(range(21))
    plans = [plan_batches(draws, 0, 4, rank, 2) for rank in (0, 1)]
    assert [len(batch) for batch in plans[0]] == [len(batch) for batch in plans[1]] == [4, 4, 3]
    shown = [index for plan in plans for batch in plan for index, _, _ in batch]
    assert sorted(shown) == sorted([*draws, 0])
    places = [place for plan in plans for batch in plan for _, _, place in batch]
    assert sorted(places) == list(range(22))


def test_chunks_beyond_the_end_do_not_change_the_loss(manifest):
    config = build_config(manifest, chunk_weight=0.5)
    logits = torch.randn(2, 5, 4)
    valid = torch.tensor([[True] * 5, [True, True, False, False, False]])
    labels = torch.tensor([1, 2])
    loss, mean = compute_loss(logits, valid, labels, config)
    moved = logits.clone()
    moved[1, 2:] += 100
    assert compute_loss(moved, valid, labels, config)[0] == loss
    assert torch.allclose(mean[1], logits[1, :2].mean(0))
    pure = replace(config, chunk_weight=0.0)
    expected = torch.nn.functional.cross_entropy(mean, labels)
    assert torch.allclose(compute_loss(logits, valid, labels, pure)[0], expected)


def test_the_learning_rate_rises_and_then_falls_to_zero(manifest):
    config = build_config(manifest, warmup=0.1, lr=1.0)
    rates = [compute_learning_rate(config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == rates[9] == 1.0
    assert rates[-1] < 0.001
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_a_sequence_repeats_the_last_frame_and_crosses_no_gap(manifest):
    config = build_config(manifest, augment=False)
    period = config.model.interval_ns
    short = DecodedCine(np.zeros((5, 1, 32, 32), np.uint8), np.arange(5, dtype=np.int64) * period)
    assert choose_samples(short, make_generator(0), config) == ([0, 1, 2, 3, 4] + [4] * 27, 5)
    times = np.arange(80, dtype=np.int64) * period
    times[40:] += 1_000_000_000
    gap = DecodedCine(np.zeros((80, 1, 32, 32), np.uint8), times)
    sides = set()
    for n in range(40):
        frames, decided = choose_samples(gap, make_generator(n), config)
        assert decided == 32
        assert (min(frames) >= 40) == (max(frames) >= 40)
        sides.add(frames[0] >= 40)
    assert sides == {True, False}


def test_a_still_shows_one_frame_for_the_whole_sequence(manifest, tmp_path):
    entries = select_split(manifest, read_manifest(manifest), "train")
    cache = Cache(tmp_path, SampleSettings(32, 1))
    unchanged = AugmentSettings().scale(0.0)
    for still_p in (0.0, 1.0):
        config = build_config(
            manifest, augment_settings=replace(unchanged, still_p=still_p, background_p=0.0)
        )
        sequences = TrainingSet(entries, cache, config)
        for n in range(12):
            samples, _, _ = sequences[(n, 0, n)]
            is_moving = bool((samples != samples[:, :1]).any())
            assert is_moving == (still_p == 0.0)


def test_batches_have_whole_sequences_and_their_labels(manifest, tmp_path):
    config = build_config(manifest)
    entries = select_split(manifest, read_manifest(manifest), "train")
    dataset = TrainingSet(entries, Cache(tmp_path, SampleSettings(32, 1)), config)
    first = next(iter(load_batches(dataset, list(range(12)), 0)))
    assert first[0].shape == (4, 1, 32, 32, 32)
    assert first[0].dtype == torch.uint8
    # 24 frames at the sample interval make six chunks. The augmentation multiplies the
    # sample interval by a random factor, which changes this number a little.
    assert 3 <= int(first[1][0].sum()) <= 8
    assert first[2].tolist() == [dataset.labels[i] for i in range(4)]


def test_macro_f1_is_the_mean_over_the_classes_that_occur():
    # Class 0 has precision 2/3 and recall 1. Class 1 has precision 1 and recall 1/2.
    assert compute_macro_f1([0, 0, 1, 1], [0, 0, 0, 1]) == pytest.approx((0.8 + 2 / 3) / 2)
    assert compute_macro_f1([0, 1], [2, 2]) == 0


def test_training_beats_chance_on_unseen_patients(tmp_path):
    """Guessing gives an accuracy of 0.25. Two epochs of training must reach 0.55."""
    manifest = write_training_manifest(tmp_path / "set")
    config = build_config(manifest, epochs=2, batch=2, lr=3e-3, ema=0.8, balance="oversample")
    config = replace(
        config,
        model=replace(config.model, width=16, size_px=48, dropout=0.1),
        chunk_weight=0.5,
        augment_settings=AugmentSettings().scale(0.3),
    )
    train(config, tmp_path / "run", QUIET)
    model, config, _ = load_run(tmp_path / "run", "last")
    entries = read_manifest(manifest)
    unseen = [entry for entry in entries if entry.split in ("val", "test")]
    scores = validate(
        model, unseen, Cache(tmp_path / "run" / "cache", SampleSettings(48, 1)), config
    )
    assert len(config.labels) == 4
    assert scores.accuracy >= 0.55, scores


def test_the_command_line_trains_and_reports_errors(manifest, tmp_path, capsys):
    arguments = [
        "train",
        "--manifest",
        str(manifest),
        "--out",
        str(tmp_path / "run"),
        "--epochs",
        "1",
    ]
    arguments += [
        "--width",
        "8",
        "--blocks",
        "1,1,1,1",
        "--size",
        "32",
        "--batch",
        "6",
        "--threads",
        "1",
    ]
    assert main(arguments) == 0
    assert load_config(tmp_path / "run").samples == 32
    codes = [label["code"] for label in json.loads((tmp_path / "run" / "labels.json").read_text())]
    assert codes == sorted(CODES)
    assert "drawn" in (tmp_path / "run" / "log.csv").read_text()
    capsys.readouterr()
    arguments[2] = str(tmp_path / "gone.csv")
    assert main(arguments) == 1
    assert "gone.csv" in capsys.readouterr().err
