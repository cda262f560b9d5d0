"""Division of items between two arms: balanced in each image and over all, reproducible, a fair coin for each pair."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from curation_db.generation.random_assignment import ArmAssignment, altered_pairs, assign_arms


def images(sizes: list[int]) -> list[tuple[int, list[str]]]:
    numbers = iter(range(10_000))
    return [(image, [f"caption/{next(numbers)}" for _ in range(size)]) for image, size in enumerate(sizes, 1)]


def lead(assigned: list[ArmAssignment]) -> int:
    return sum(1 if each.arm == "a" else -1 for each in assigned)


@given(st.lists(st.integers(0, 7), max_size=20), st.integers(0, 5), st.integers(-1, 1))
def test_every_item_has_one_arm_and_the_arms_are_equal(sizes: list[int], seed: int, before: int) -> None:
    given_items = images(sizes)
    assigned = assign_arms(given_items, seed=seed, first_pair=7, lead=before)
    assert sorted(each.item for each in assigned) == sorted(item for _, items in given_items for item in items)
    assert abs(lead(assigned) + before) <= 1
    pairs = defaultdict(list)
    for each in assigned:
        pairs[each.pair].append(each)
    assert set(pairs) == set(range(7, 7 + (sum(sizes) + 1) // 2))
    assert all(len(pair) == 1 or {each.arm for each in pair} == {"a", "b"} for pair in pairs.values())
    assert altered_pairs(assigned, seed=seed) == []
    by_image = defaultdict(list)
    for each in assigned:
        by_image[each.image_id].append(each)
    assert all(abs(lead(own)) <= 1 for own in by_image.values())


@given(st.lists(st.integers(1, 5), min_size=1, max_size=10), st.randoms())
def test_the_order_of_the_input_does_not_matter(sizes: list[int], random) -> None:  # type: ignore[no-untyped-def]
    plain = images(sizes)
    mixed = [(image, random.sample(items, len(items))) for image, items in plain]
    arms = {each.item: each.arm for each in assign_arms(plain, seed=3)}
    assert {each.item: each.arm for each in assign_arms(mixed, seed=3)} == arms


def test_each_pair_has_its_own_coin() -> None:
    firsts = Counter()
    for seed in range(400):
        assigned = {each.item: each.arm for each in assign_arms(images([2, 2]), seed=seed)}
        firsts[assigned["caption/0"], assigned["caption/2"]] += 1
    assert len(firsts) == 4
    assert all(60 < count < 140 for count in firsts.values()), firsts


def test_altered_arms_are_found() -> None:
    assigned = assign_arms(images([4, 3]), seed=2)
    pair = [each for each in assigned if each.pair == 1]
    rest = [each for each in assigned if each.pair != 1]
    swapped = [replace(each, arm="b" if each.arm == "a" else "a") for each in pair]
    assert altered_pairs(rest + swapped, seed=2) == [1]
    assert altered_pairs([*rest, pair[0], replace(pair[1], arm=pair[0].arm)], seed=2) == [1]
    assert altered_pairs([replace(each, pair=1) for each in assigned], seed=2) == [1]
    assert altered_pairs(assigned, seed=3) != []


def test_items_left_over_are_paired_across_images() -> None:
    assigned = assign_arms(images([1, 1, 3]), seed=1)
    pairs = Counter(each.pair for each in assigned)
    assert sorted(pairs.values()) == [1, 2, 2]
    partners = defaultdict(set)
    for each in assigned:
        partners[each.pair].add(each.image_id)
    assert sorted(len(partner) for partner in partners.values()) == [1, 1, 2]


def test_a_single_item_goes_to_the_smaller_arm() -> None:
    assert {assign_arms(images([1]), seed=seed, lead=1)[0].arm for seed in range(20)} == {"b"}
    assert {assign_arms(images([1]), seed=seed, lead=-1)[0].arm for seed in range(20)} == {"a"}
    assert {assign_arms(images([1]), seed=seed)[0].arm for seed in range(20)} == {"a", "b"}
