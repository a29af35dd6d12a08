from collections import Counter
from dataclasses import replace

import pytest
from shapes import CODES, write_set

import tteview_train.ablate as ablate_module
from tteview_train.ablate import ablate, format_range, write_imbalanced_manifest
from tteview_train.cli import main
from tteview_train.config import TrainConfig
from tteview_train.manifest import ManifestError, list_labels, read_manifest
from tteview_train.model_config import ModelConfig
from tteview_train.train import RunOptions
from tteview_train.variants import QUESTIONS, Alternatives, list_questions, list_variants

QUIET = RunOptions("cpu", quiet=True)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), {"train": 4, "val": 1, "test": 1}, frames=16)


def test_every_second_class_of_the_training_split_is_rare(manifest, tmp_path):
    out = tmp_path / "rare.csv"
    write_imbalanced_manifest(manifest, out, sorted(CODES), 4)
    entries = read_manifest(out)
    train = Counter(entry.label for entry in entries if entry.split == "train")
    assert [train[code] for code in sorted(CODES)] == [4, 1, 4, 1]
    assert sum(entry.split != "train" for entry in entries) == 8
    assert all(entry.path.is_dir() for entry in entries)
    assert entries[0].attributes.keys() == {"colour", "probe"}


def test_a_ratio_that_cannot_be_reached_is_refused(manifest, tmp_path):
    with pytest.raises(ManifestError, match=r"20 to 1 needs at least 20 .*, got 4"):
        write_imbalanced_manifest(manifest, tmp_path / "rare.csv", sorted(CODES), 20)


def test_the_table_has_the_mean_and_the_range():
    assert format_range([0.5]) == "0.500"
    assert format_range([0.5, 0.7]) == "0.600 (0.500 to 0.700)"
    assert format_range([]) == "-"


def build_config(manifest):
    labels = tuple(list_labels(read_manifest(manifest)))
    model = ModelConfig(4, width=8, blocks=(1, 1, 1, 1), slow_frames=4, size_px=24)
    return TrainConfig(model, labels, str(manifest), samples=32, epochs=1, batch=8)


def test_each_question_compares_two_values(manifest):
    config = replace(build_config(manifest), emphasis=(("DISC", 2.0),))
    alternatives = Alternatives(16, 32, manifest.with_name("other.csv"))
    rows = list_variants(config, manifest, 4, alternatives)
    counts = Counter(row.question for row in rows)
    assert counts == dict.fromkeys(QUESTIONS, 2)
    for question in QUESTIONS:
        first, second = (row.config for row in rows if row.question == question)
        assert first != second, question
    reaches = [row for row in rows if row.question == "lateral reach"]
    assert [(row.setting, row.config.model.lateral_reach) for row in reaches] == [
        ("0", 0),
        ("2", 2),
    ]


def test_a_question_needs_the_values_that_it_compares(manifest, tmp_path):
    config = build_config(manifest)
    assert set(QUESTIONS) - set(list_questions(config, Alternatives())) == {"emphasis", "cines"}
    for question, option in (("emphasis", "--emphasis"), ("cines", "--other-manifest")):
        with pytest.raises(ValueError, match=f"needs the option {option}"):
            ablate(config, tmp_path, [0], questions=[question])
    assert not list(tmp_path.iterdir())


def test_augmentation_can_leave_geometry_or_appearance_alone(manifest):
    rows = list_variants(build_config(manifest), manifest, 4, Alternatives())
    settings = {row.folder: row.config.augment_settings for row in rows}
    assert settings["geometry-off"].rotation_deg == 0
    assert settings["geometry-off"].gain == settings["geometry-on"].gain > 0
    assert settings["appearance-off"].gain == 0
    assert settings["appearance-off"].rotation_deg == settings["appearance-on"].rotation_deg > 0


def test_only_the_chosen_questions_are_answered(manifest, tmp_path):
    arguments = ["ablate", "--manifest", str(manifest), "--out", str(tmp_path / "out")]
    arguments += ["--width", "8", "--blocks", "1,1,1,1", "--size", "24", "--samples", "32"]
    arguments += ["--epochs", "1", "--batch", "8", "--seeds", "1", "--device", "cpu"]
    # There are not enough cines for the imbalanced set, which this question does not need.
    assert main([*arguments, "--questions", "lateral reach"]) == 0
    text = (tmp_path / "out" / "ablations.md").read_text()
    rows = [line.split(" | ")[:3] for line in text.splitlines() if line.startswith("| lateral")]
    assert rows == [["| lateral reach", "0", "1"], ["| lateral reach", "2", "1"]]
    assert not any(f"| {name} |" in text for name in ("balance", "time", "width"))
    assert not (tmp_path / "out" / "imbalanced.csv").exists()
    with pytest.raises(SystemExit):
        main([*arguments, "--questions", "colour"])


def test_ablations_fill_the_table_and_run_each_variant_once(manifest, tmp_path, monkeypatch):
    config = build_config(manifest)
    runs = []
    train = ablate_module.train
    monkeypatch.setattr(
        ablate_module,
        "train",
        lambda *arguments: (runs.append(arguments[1].name), train(*arguments)),
    )
    questions = ("balance", "augmentation", "time", "lateral reach", "width")
    arguments = (tmp_path, [0, 1], 4, Alternatives(16), manifest, questions, QUIET)
    text = ablate(config, *arguments).read_text()
    # Four of the ten rows share the reference run, so there are seven runs for each seed.
    assert len(runs) == len(set(runs)) == 14
    rows = [line for line in text.splitlines() if line.startswith("| ") and " to " in line]
    assert len(rows) == 10
    assert all("| 2 |" in row for row in rows)
    again = ablate(config, *arguments).read_text()
    assert len(runs) == 14
    assert again == text
    with pytest.raises(ValueError, match="causal"):
        ablate(replace(config, model=replace(config.model, time="centred")), *arguments)
