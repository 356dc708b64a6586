"""Laws of dividing patients, for random data sets."""

from hypothesis import given
from hypothesis import strategies as st

from heclstm.data.datasets.patients import PARTS, Splitting, same_person, split, without_overlap

people = st.integers(0, 40).map("p{}".format)
sequences = st.lists(st.tuples(people, st.integers(0, 1)), min_size=1, max_size=120)
shares = st.sampled_from([0.05, 0.15, 0.3, 0.45])


def parts_of(patients, parts):
    found = {}
    for patient, part in zip(patients, parts, strict=True):
        found.setdefault(patient, set()).add(part)
    return found


@given(sequences, st.integers(0, 2**31), shares, shares)
def test_no_patient_is_ever_divided(rows, seed, validation, test):
    patients, labels = zip(*rows, strict=True)
    parts = split(patients, labels, Splitting(seed, validation, test))
    assert set(parts) <= set(PARTS)
    assert all(len(found) == 1 for found in parts_of(patients, parts).values())
    assert parts == split(patients, labels, Splitting(seed, validation, test))


@given(sequences, st.integers(0, 2**31), shares, shares)
def test_every_part_gets_both_outcomes_where_there_are_three_patients_of_each(rows, seed, validation, test):
    rows = [*rows, *((f"n{row}", 0) for row in range(3)), *((f"q{row}", 1) for row in range(3))]
    patients, labels = zip(*rows, strict=True)
    positive = {patient for patient, label in rows if label}
    found = parts_of(patients, split(patients, labels, Splitting(seed, validation, test)))
    for part in PARTS:
        assert {patient in positive for patient, its in found.items() if its == {part}} == {False, True}


@given(sequences, st.integers(0, 2**31), st.integers(2, 6))
def test_folds_cover_every_patient_once(rows, seed, folds):
    patients, labels = zip(*rows, strict=True)
    tested = []
    for fold in range(1, folds + 1):
        parts = split(patients, labels, Splitting(seed, folds=folds, fold=fold))
        found = parts_of(patients, parts)
        assert all(len(its) == 1 for its in found.values())
        tested += [patient for patient, its in found.items() if its == {"test"}]
    assert sorted(tested) == sorted(set(patients))


@given(st.lists(st.tuples(people, st.sampled_from(PARTS)), min_size=1, max_size=60))
def test_given_parts_lose_only_what_a_later_part_has(rows):
    patients, given_parts = zip(*rows, strict=True)
    parts = without_overlap(patients, given_parts)
    for patient, found in parts_of(patients, parts).items():
        assert len(found - {""}) == 1
        assert PARTS.index(*(found - {""})) == max(PARTS.index(part) for name, part in rows if name == patient)
    assert all(part in ("", before) for part, before in zip(parts, given_parts, strict=True))


@given(st.lists(people, min_size=1), st.lists(st.tuples(people, people), max_size=30))
def test_one_person_has_one_name(patients, pairs):
    names = same_person(patients, pairs)
    everybody = set(patients) | {patient for pair in pairs for patient in pair}
    groups = {patient: {patient} for patient in everybody}
    for first, second in pairs:  # joins the groups one by one, the slow and plain way
        joined = groups[first] | groups[second]
        for patient in joined:
            groups[patient] = joined
    assert names == {patient: min(groups[patient]) for patient in set(patients)}
