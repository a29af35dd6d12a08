import json

import pytest

from tteview_train.manifest import (
    ManifestError,
    check_classes,
    check_labels,
    list_labels,
    read_labels,
    read_manifest,
    select_split,
)

HEADER = "path,label,patient,split,colour"


def write_manifest(tmp_path, *lines, header=HEADER):
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def test_a_manifest_keeps_unknown_columns_as_attributes(tmp_path):
    path = write_manifest(
        tmp_path, "x.dcm,A4C,p1,train,1,40000000,Acme", header=HEADER + ",frame_period_ns,vendor"
    )
    (entry,) = read_manifest(path)
    assert (entry.path, entry.label, entry.period_ns) == (tmp_path / "x.dcm", "A4C", 40_000_000)
    assert entry.attributes == {"colour": "1", "vendor": "Acme"}


def test_a_patient_in_two_splits_is_refused(tmp_path):
    path = write_manifest(tmp_path, "a,A,p1,train,0", "b,A,p1,test,0", "c,A,p2,test,0")
    with pytest.raises(ManifestError, match=r"manifest\.csv: .* p1 is in test and train;"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("header", "line", "words"),
    [
        ("path,label", "a,A", "columns are missing: patient, split, colour"),
        (HEADER, ",A,p,train,0", "line 2: path must not be empty"),
        (
            HEADER + ",frame_period_ns",
            "a,A,p,train,0,-5",
            "line 2: frame_period_ns must be a positive integer, got '-5'",
        ),
    ],
)
def test_an_invalid_manifest_is_refused_with_its_line(tmp_path, header, line, words):
    with pytest.raises(ManifestError, match=r"manifest\.csv") as error:
        read_manifest(write_manifest(tmp_path, line, header=header))
    assert words in str(error.value)


def test_labels_classes_and_splits_are_checked(tmp_path):
    path = write_manifest(tmp_path, "a,A,p1,train,0", "b,B,p2,test,0")
    entries = read_manifest(path)
    labels = list_labels(entries)
    with pytest.raises(ManifestError, match="b: label must be one of A, got 'B'"):
        check_labels(path, entries, labels[:1])
    with pytest.raises(ManifestError, match="these have none: B"):
        check_classes(path, select_split(path, entries, "train"), labels)
    with pytest.raises(ManifestError, match=r"split 'val' has no cines; .* test, train"):
        select_split(path, entries, "val")


def test_labels_that_repeat_are_refused(tmp_path):
    file = tmp_path / "labels.json"
    file.write_text('[{"code":"A","name":"a"},{"code":"A","name":"b"}]')
    with pytest.raises(ManifestError, match="these repeat: A"):
        read_labels(file)


GROUPED = {
    "groups": [{"code": "G", "name": "g", "scheme": "SCT", "scheme_code": "1"}],
    "labels": [{"code": "A", "name": "a", "group": "G"}, {"code": "B", "name": "b", "group": "G"}],
}


def test_labels_and_groups_are_written_as_they_are_read(tmp_path):
    file = tmp_path / "labels.json"
    for content in (GROUPED, [{"code": "A", "name": "a"}]):
        file.write_text(json.dumps(content))
        labels = read_labels(file)
        file.write_text(labels.to_json())
        assert read_labels(file) == labels
        assert isinstance(json.loads(file.read_text()), type(content))
    file.write_text(json.dumps(GROUPED))
    assert read_labels(file).list_group_indices() == [0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": []}, "the group of A must be one of"),
        ({"labels": [{"code": "A", "name": "a"}]}, "got None"),
        ({"groups": [*GROUPED["groups"], {"code": "H", "name": "h"}]}, "H has none"),
        ({"groups": GROUPED["groups"] * 2}, "each group must be listed once"),
        ({"labels": 3}, "must be JSON lists"),
    ],
)
def test_labels_that_do_not_fit_their_groups_are_refused(tmp_path, change, message):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({**GROUPED, **change}))
    with pytest.raises(ManifestError, match=message):
        read_labels(file)
