"""The example of Dawid & Skene (1979): 45 patients, five anaesthetists, four grades of fitness."""

from __future__ import annotations

import pytest

from curation_db.trust.dawid_skene import consensus

TABLE_1 = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212
1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111
1111111 1121121 1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111
2322222 1211111 2222222
"""
"""One patient a group: three answers of the first anaesthetist, one of each other."""


def votes() -> list[tuple[int, str, int]]:
    people = ("1", "1", "1", "2", "3", "4", "5")
    return [
        (patient, person, int(grade) - 1)
        for patient, grades in enumerate(TABLE_1.split(), start=1)
        for person, grade in zip(people, grades, strict=True)
    ]


def test_the_published_example() -> None:
    estimated = consensus(votes(), 4)
    assert [round(share, 2) for share in estimated.shares] == [0.40, 0.42, 0.11, 0.07]
    first = estimated.confusion["1"]
    assert [round(p, 2) for p in first[0]] == [0.89, 0.11, 0.00, 0.00]
    assert [round(p, 2) for p in first[1]] == [0.07, 0.88, 0.05, 0.00]
    most = {patient: max(range(4), key=lambda grade: p[grade]) + 1 for patient, p in estimated.probabilities.items()}
    assert (most[1], most[2], most[11], most[36]) == (1, 4, 4, 4), "patient 2 has five grades 3 of seven"


def test_a_careless_annotator_counts_less_than_two_careful_ones() -> None:
    careful = [(item, person, item % 2) for item in range(40) for person in ("a", "b")]
    careless = [(item, "c", 1) for item in range(40)]
    estimated = consensus([*careful, *careless, (99, "a", 0), (99, "c", 1)], 2)
    assert estimated.probabilities[99][0] > 0.9
    assert estimated.confusion["c"][0][1] > 0.9


def test_votes_out_of_range_and_no_votes() -> None:
    with pytest.raises(ValueError, match="labels are 0 to 1"):
        consensus([(1, "a", 2)], 2)
    assert consensus([], 2).probabilities == {}
