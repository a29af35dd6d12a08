"""Tests that the labels of the demo model have DICOM codes."""

from pathlib import Path

from pydicom.sr.codedict import codes

from tteview_train.manifest import read_labels

VIEWS = Path(__file__).parents[2] / "models" / "views.json"

MEANINGS = {
    "PLAX": "Parasternal long axis",
    "PLAX-RVIF": "Parasternal long axis view of the RV inflow tract",
    "PLAX-RVOF": "Parasternal long axis view of the RV outflow tract",
    "PSAX-AV": "Parasternal short axis at the aortic valve level",
    "PSAX-MV": "Parasternal short axis at the Mitral Valve level",
    "PSAX-PM": "Parasternal short axis at the Papillary Muscle level",
    "A4C": "Apical four chamber",
    "A4C-RV": "Apical four chamber RV Focused",
    "A5C": "Five chamber",
    "A2C": "Apical two chamber",
    "A3C": "Apical long axis",
    "SC4C": "Subcostal",
    "SC-SAX": "Subcostal short axis",
    "SSN-AO": "Suprasternal long axis view of aortic arch",
}


def test_labels_have_the_codes_of_dicom_context_groups() -> None:
    # Context group (CID) 12226 contains the echocardiography image views. The five-chamber view is
    # in CID 501, which contains the volumetric views, and the subcostal approach in CID 5.
    groups = (codes.cid5, codes.cid501, codes.cid12226)
    known = {
        (code.scheme_designator, code.value): code.meaning
        for group in groups
        for code in (getattr(group, name) for name in group.dir())
    }
    coded = {
        label.code: (label.scheme, label.scheme_code)
        for label in read_labels(VIEWS).labels
        if label.scheme
    }
    assert {view: known[code] for view, code in coded.items()} == MEANINGS


def test_modifiers_complete_the_codes_of_a_view() -> None:
    # Any code of the context groups 5, 6 and 7, which contain the transducer approaches, the
    # orientations and the beam paths, may be the code of a view or its modifier (PS3.3 of DICOM,
    # C.8.5.6.1.19).
    known = {
        (code.scheme_designator, code.value): code.meaning
        for group in (codes.cid5, codes.cid6, codes.cid7)
        for code in (getattr(group, name) for name in group.dir())
    }
    found = {}
    for label in read_labels(VIEWS).labels:
        if label.modifiers:
            assert known[label.scheme, label.scheme_code] == label.scheme_meaning
            for modifier in label.modifiers:
                assert known[modifier.scheme, modifier.scheme_code] == modifier.name
            names = [modifier.name for modifier in label.modifiers]
            found[label.code] = [label.scheme_meaning, *names]
    assert found == {"A5C": ["Five chamber", "Apical"], "SC4C": ["Subcostal", "Four chamber"]}


def test_groups_have_the_codes_of_dicom_context_groups() -> None:
    # Context group (CID) 5 contains the transducer approaches.
    known = {
        (code.scheme_designator, code.value): code.meaning
        for group in (codes.cid5, codes.cid12226)
        for code in (getattr(group, name) for name in group.dir())
    }
    groups = read_labels(VIEWS).groups
    coded = {group.code: known[group.scheme, group.scheme_code] for group in groups if group.scheme}
    assert coded == {
        "PARA-LONG": "Parasternal long axis",
        "PARA-SHORT": "Parasternal short axis",
        "APICAL": "Apical",
        "SUBCOSTAL": "Subcostal",
    }
    assert [group.code for group in groups if not group.scheme] == ["SUPRASTERNAL", "OTHER"]


def test_each_view_is_in_its_group() -> None:
    prefixes = {
        "PLAX": "PARA-LONG",
        "PSAX": "PARA-SHORT",
        "A": "APICAL",
        "SC": "SUBCOSTAL",
        "SSN": "SUPRASTERNAL",
        "OTHER": "OTHER",
    }
    for label in read_labels(VIEWS).labels:
        expected = {group for prefix, group in prefixes.items() if label.code.startswith(prefix)}
        assert {label.group} == expected, label
