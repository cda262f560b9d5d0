"""Selection of a benchmark's items: balance, blind baselines, quotas, independence of the order."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from support.examples import examples

from benchmarks.baselines import CAPTION_BASELINES
from benchmarks.frozen.quotas import Quota
from benchmarks.frozen.selection import Contrast, Selection, TooFewItems, items_needed, select
from benchmarks.frozen.word_baseline import FOLDS, WordExample, cross_validated_credits
from curation_db.stats.intervals import wilson

THINGS = ("hat", "dog", "cup", "tree", "ball", "kite")
FORMS = {"no": "a man with no {}", "without": "a man without a {}", "not": "a man who does not have a {}"}


def contrast(number: int, *, true: bool, cue: str = "no", thing: str = "hat", image: int | None = None) -> Contrast:
    cuts = {"cue": cue, "type": "action" if cue == "not" else "absence", "concept": thing, "source": "s"}
    return Contrast(
        id=f"s/{number}",
        image=f"image-{number if image is None else image}",
        negated=FORMS[cue].format(thing),
        affirmed=f"a man with a {thing}",
        negated_is_true=true,
        cuts=cuts,
    )


def random_contrasts(seed: int, count: int) -> list[Contrast]:
    """Return candidates of fewer images than candidates, with more of one side than of the other."""
    rng = random.Random(seed)
    share, images = rng.choice((0.2, 0.5, 0.8)), rng.randint(1, 2 * count)
    return [
        contrast(
            number,
            true=rng.random() < share,
            cue=rng.choice(sorted(FORMS)),
            thing=rng.choice(THINGS),
            image=rng.randrange(images),
        )
        for number in range(count)
    ]


contrasts = st.builds(random_contrasts, st.integers(0, 10**6), st.integers(1, 120))
quotas = st.lists(
    st.sampled_from(["cue=no:6", "cue=*:50%", "type=absence:30%", "concept=*:4", "concept=hat:0", "cue=without:25%"]),
    max_size=2,
).map(lambda texts: [Quota.parse(text) for text in texts])


def attempt(items: Sequence[Contrast], most: int = 1000, margin: float = 0.4, seed: int = 0, **more: object) -> object:
    try:
        return select(items, items=most, margin=margin, seed=seed, **more)  # type: ignore[arg-type]
    except TooFewItems as error:
        return error


@settings(max_examples=examples(40), deadline=None)
@given(contrasts, quotas, st.sampled_from([0.2, 0.3, 0.4]), st.integers(4, 60), st.integers(0, 3))
def test_every_selection_is_balanced_and_within_its_limits(
    items: list[Contrast], limits: list[Quota], margin: float, most: int, seed: int
) -> None:
    found = attempt(items, most, margin, seed, quotas=limits)
    if not isinstance(found, Selection):
        assert isinstance(found, TooFewItems)
        assert found.possible < found.needed == items_needed(margin)
        return
    chosen = [placed.contrast for placed in found.items]
    assert items_needed(margin) <= len(chosen) <= most
    assert len(chosen) % 4 == 0
    assert len({each.image for each in chosen}) == len(chosen)
    assert {each.id for each in chosen} <= {each.id for each in items}
    sides = Counter((each.cuts["cue"], each.cuts["type"], each.negated_is_true) for each in chosen)
    assert all(sides[cue, kind, True] == sides[cue, kind, False] for cue, kind, _ in sides)
    for quota in limits:
        values = Counter(each.cuts[quota.cut] for each in chosen)
        allowed = quota.items(len(chosen))
        assert all(count <= allowed for value, count in values.items() if quota.value in ("*", value))
    for placed in found.items:
        true = placed.contrast.negated if placed.contrast.negated_is_true else placed.contrast.affirmed
        assert placed.captions[placed.right] == true
        assert set(placed.captions) == {placed.contrast.negated, placed.contrast.affirmed}
    places = Counter((placed.contrast.negated_is_true, placed.right) for placed in found.items)
    assert set(places.values()) == {len(chosen) // 4}
    assert max(share.high for share in found.baselines.values()) <= 0.5 + margin
    check_baselines(found)


def check_baselines(found: Selection) -> None:
    """Compare the figures of the caption baselines with counts over the presented captions."""
    for name, baseline in CAPTION_BASELINES.items():
        right = 0.0
        for placed in found.items:
            scores = baseline(placed.captions)
            right += 0.5 if scores[0] == scores[1] else scores[placed.right] == max(scores)
        assert found.baselines[name].estimate == pytest.approx(right / len(found.items))
    for cue in ("a negation cue", "no negation cue", "first caption"):
        assert found.baselines[cue].estimate == 0.5


@settings(max_examples=examples(12), deadline=None)
@given(contrasts, st.randoms(use_true_random=False))
def test_the_order_of_the_items_has_no_effect(items: list[Contrast], shuffling: random.Random) -> None:
    shuffled = shuffling.sample(items, len(items))
    first, second = attempt(items), attempt(shuffled)
    assert first == second or str(first) == str(second)


def test_another_seed_selects_other_items() -> None:
    items = [contrast(n, true=n % 2 == 0, thing=THINGS[n // 2 % 6]) for n in range(200)]
    first, second = (select(items, items=40, margin=0.4, seed=seed) for seed in (0, 1))
    assert {each.contrast.id for each in first.items} != {each.contrast.id for each in second.items}
    assert first == select(items, items=40, margin=0.4, seed=0)


def test_the_seed_chooses_among_the_items_of_the_frequent_side() -> None:
    items = [contrast(n, true=True) for n in range(60)] + [contrast(100 + n, true=False) for n in range(10)]
    chosen = [{each.contrast.id for each in select(items, items=100, margin=0.4, seed=seed).items} for seed in range(3)]
    assert [len(ids) for ids in chosen] == [20, 20, 20]
    assert chosen[0] != chosen[1] != chosen[2]


@pytest.mark.parametrize(
    ("quota", "items", "most"),
    [("cue=no:6", 24, 6), ("cue=*:8", 24, 8), ("cue=no:25%", 32, 8), ("cue=*:34%", 24, 8), ("cue=no:0", 20, 0)],
)
def test_quotas_limit_values(quota: str, items: int, most: int) -> None:
    """Of 60 candidates, 20 of each cue, each quota admits so many that its limit is reached."""
    cues = sorted(FORMS)
    several = [contrast(n, true=n % 2 == 0, cue=cues[n // 2 % 3], thing=THINGS[n // 6 % 6]) for n in range(60)]
    found = select(several, items=items, margin=0.4, seed=0, quotas=[Quota.parse(quota)])
    seen = Counter(each.contrast.cuts["cue"] for each in found.items)
    assert len(found.items) == items
    limited = cues if "*" in quota else ["no"]
    assert [seen[cue] for cue in limited] == [most] * len(limited)


@pytest.mark.parametrize(("most", "items"), [(10, 8), (11, 8), (12, 12), (39, 36)])
def test_each_place_of_each_side_has_a_quarter_of_the_items(most: int, items: int) -> None:
    several = [contrast(n, true=n % 2 == 0, thing=THINGS[n // 2 % 6]) for n in range(40)]
    assert len(select(several, items=most, margin=0.4, seed=0).items) == items


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(FORMS))), max_size=60))
def test_as_many_items_are_balanced_as_the_cells_allow(rows: list[tuple[bool, str]]) -> None:
    """The oracle: with one candidate per image, a cell gives twice its smaller side."""
    items = [contrast(number, true=true, cue=cue) for number, (true, cue) in enumerate(rows)]
    sides: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for true, cue in rows:
        sides[cue][true] += 1
    expected = sum(2 * min(side[True], side[False]) for side in sides.values())
    found = attempt(items)
    assert isinstance(found, Selection | TooFewItems)
    assert found.balanced == expected
    if isinstance(found, Selection) and not found.removed:
        assert len(found.items) == expected - expected % 4


def test_of_an_image_the_scarce_side_is_used() -> None:
    items = [contrast(n, true=True) for n in range(20)] + [contrast(100 + n, true=False, image=n) for n in range(8)]
    found = select(items, items=100, margin=0.4, seed=0)
    assert len(found.items) == 16


def test_a_concept_that_gives_the_answer_away_is_removed() -> None:
    """GIVEN hats that are always denied truly and dogs always falsely THEN the word baseline removes them."""
    fair = [contrast(n, true=n % 2 == 0, thing=("tree", "ball", "kite")[n // 2 % 3]) for n in range(160)]
    biased = [contrast(1000 + n, true=n % 2 == 0, thing="hat" if n % 2 == 0 else "dog") for n in range(160)]
    found = select(fair + biased, items=1000, margin=0.1, seed=0)
    things = Counter(each.contrast.cuts["concept"] for each in found.items)
    assert found.removed > 0
    assert things["hat"] + things["dog"] < 60
    assert things["tree"] + things["ball"] + things["kite"] >= 150
    assert found.baselines["word n-grams"].high <= 0.6


def test_without_fair_items_there_is_no_benchmark() -> None:
    biased = [contrast(n, true=n % 2 == 0, thing="hat" if n % 2 == 0 else "dog") for n in range(400)]
    with pytest.raises(TooFewItems) as refused:
        select(biased, items=1000, margin=0.1, seed=0)
    assert refused.value.balanced == 400
    assert refused.value.possible < refused.value.needed == 96
    assert refused.value.blocking == "word n-grams"


def test_a_length_that_gives_the_answer_away_is_removed() -> None:
    def padded(number: int, *, true: bool, fair: bool) -> Contrast:
        one = contrast(number, true=true, thing=THINGS[number // 2 % 6])
        longer = one.negated_is_true if not fair else number % 4 < 2
        pad = " in a very wide and green park"
        return Contrast(
            one.id, one.image, one.negated + pad * longer, one.affirmed + pad * (not longer), true, one.cuts
        )

    items = [padded(n, true=n % 2 == 0, fair=n < 200) for n in range(400)]
    found = select(items, items=1000, margin=0.1, seed=0)
    assert found.removed > 0
    assert found.baselines["longest caption"].high <= 0.6
    assert len(found.items) >= 190


@pytest.mark.parametrize("margin", [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5])
def test_items_that_a_margin_needs(margin: float) -> None:
    expected = next(n for n in range(4, 10_000, 4) if wilson(n // 2, n).high <= 0.5 + margin)
    assert items_needed(margin) == expected


@pytest.mark.parametrize("margin", [0.0, -0.1, 0.6, float("nan")])
def test_a_margin_that_no_number_of_items_reaches_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        items_needed(margin)


def test_the_word_baseline_is_naive_bayes() -> None:
    """Compare with scikit-learn, fold by fold."""
    rng = random.Random(3)
    words = [f"w{n}" for n in range(12)]
    examples = []
    for _ in range(120):
        label = rng.random() < 0.6
        text = " ".join(rng.choices(words[:9] if label else words[3:], k=rng.randint(2, 7)))
        examples.append(WordExample(text, label, rng.randrange(FOLDS)))
    table = CountVectorizer(token_pattern=r"[\w'’-]+", ngram_range=(1, 2)).fit_transform([e.text for e in examples])
    credits = cross_validated_credits(examples)
    for fold in range(FOLDS):
        train = [n for n, each in enumerate(examples) if each.fold != fold]
        test = [n for n, each in enumerate(examples) if each.fold == fold]
        labels = [examples[n].label for n in train]
        # our prior is smoothed by one, too
        prior = [(labels.count(False) + 1) / (len(train) + 2), (labels.count(True) + 1) / (len(train) + 2)]
        oracle = MultinomialNB(class_prior=prior).fit(table[train], labels)
        expected = [
            float(guess == examples[n].label) for n, guess in zip(test, oracle.predict(table[test]), strict=True)
        ]
        assert [credits[n] for n in test] == expected
    assert sum(credits) > 80


def test_a_classifier_without_words_to_go_by_is_credited_a_half() -> None:
    examples = [WordExample("the same", label, fold) for fold in range(FOLDS) for label in (True, False)]
    assert cross_validated_credits(examples) == [0.5] * 10


@pytest.mark.parametrize("text", ["cue=no:50", "type=absence:40%", "cue=*:30%", "concept=red hat: x:5"])
def test_a_quota_is_written_as_it_is_read(text: str) -> None:
    assert str(Quota.parse(text)) == text


@pytest.mark.parametrize("text", ["", "cue=no", "colour=red:5", "cue=no:101%", "cue=no:-1", "cue=:5", "cue=no:5.5"])
def test_another_quota_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quota"):
        Quota.parse(text)


def test_the_power_is_that_of_the_number_of_items() -> None:
    items = [contrast(n, true=n % 2 == 0, thing=THINGS[n // 2 % 6]) for n in range(440)]
    found = select(items, items=440, margin=0.1, seed=0)
    assert len(found.items) == 440
    assert found.power[0.1] == pytest.approx(0.0421, abs=0.0005)
    assert found.power[0.1] < found.power[0.2] < found.power[0.3]
