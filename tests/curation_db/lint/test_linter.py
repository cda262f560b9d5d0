"""Rule selection, settings, stored keys, object mentions and corpus counts of the lint."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.lint_sample import finds, subject

from curation_db.language import chatter, object_mentions
from curation_db.language.nouns import concept_key, forms_of
from curation_db.language.object_mentions import concept_cue, mentions
from curation_db.language.sanitize import clean, normalised
from curation_db.lint.linter import (
    ALL_RULES,
    RULES,
    ConceptRanks,
    CorpusContext,
    CorpusRow,
    Finding,
    LintSettings,
    Rule,
    Severity,
    corpus_context,
    count_corpus,
    findings_key,
    findings_of,
    lint,
    near_key,
    same_key,
)
from curation_db.validation import ValidationError, validate

DATA = Path(object_mentions.__file__).parents[1] / "data"
GOOD = subject("a dog without a hat", "hat", caption="a dog")
ALONE = CorpusContext(candidates=1, same_concept=1)


def _settings(table: dict[str, object]) -> LintSettings:
    return validate(table, LintSettings)


CROWDED = CorpusContext(candidates=100, same_concept=60, rank_in_concept=60, same_here=1, near_here=2, near_elsewhere=3)


def failed_rules(findings: tuple[Finding, ...]) -> list[str]:
    return [str(finding.rule) for finding in findings if not finding.ok]


def test_ids_are_stable() -> None:
    # fmt: off
    assert [str(rule) for rule in Rule] == [
        "no-cue", "too-long", "unchanged", "chatter", "concept-lost", "minimal-edit", "in-caption", "in-sibling",
        "in-objects", "double-negation", "ambiguous-scope", "duplicate", "near-duplicate", "over-frequent",
    ]
    # fmt: on


def test_every_rule_has_a_description_and_advice() -> None:
    assert set(RULES) == set(Rule) == ALL_RULES
    for rule, info in RULES.items():
        assert info.rule is rule
        assert 10 < len(info.finds) < 80
        assert len(info.advice) > 60
        assert info.advice.endswith(".")
    corpus = {rule for rule, info in RULES.items() if info.needs_corpus}
    assert corpus == {Rule.DUPLICATE, Rule.NEAR_DUPLICATE, Rule.OVER_FREQUENT}


def test_a_good_candidate_reports_only_cue_and_token_count() -> None:
    assert [(f.rule, f.ok, f.message) for f in lint(GOOD)] == [
        (Rule.NO_CUE, True, "cue"),
        (Rule.TOO_LONG, True, "7/77 tokens"),
    ]
    assert failed_rules(lint(GOOD, context=ALONE)) == []


@pytest.mark.parametrize("tokens", [76, 77, 78])
def test_77_tokens_fit(tokens: int) -> None:
    assert finds(Rule.TOO_LONG, subject("no dog", tokens=tokens)) is (tokens > 77)


def test_only_the_selected_rules_run() -> None:
    bad = subject("Here is the caption: a dog", "hat", caption="a dog in a hat", objects={"hat": 2})
    assert failed_rules(lint(bad)) == ["no-cue", "chatter", "concept-lost", "minimal-edit", "in-caption", "in-objects"]
    assert lint(bad, []) == ()
    assert failed_rules(lint(bad, {Rule.CHATTER})) == ["chatter"]
    assert failed_rules(lint(bad, settings=LintSettings(off=frozenset({Rule.CHATTER, Rule.NO_CUE})))) == [
        "concept-lost",
        "minimal-edit",
        "in-caption",
        "in-objects",
    ]
    assert next(f for f in lint(bad) if f.rule is Rule.CHATTER).severity is Severity.DEFECT


def test_corpus_rules_run_only_with_a_context() -> None:
    assert failed_rules(lint(GOOD)) == []
    messages = [finding.message for finding in lint(GOOD, context=CROWDED) if not finding.ok]
    assert messages == [
        "the same text once more on this image",
        "nearly the same text 2 times more on this image",
        "negated in 60 of 100 candidates (60.0%), 49 are enough: hat",
    ]
    elsewhere = CorpusContext(candidates=100, same_concept=60, rank_in_concept=60, near_elsewhere=1_234)
    assert [f.message for f in lint(GOOD, {Rule.NEAR_DUPLICATE}, elsewhere)] == [
        "nearly the same text 1,234 times more on other images"
    ]
    assert lint(GOOD, {Rule.NEAR_DUPLICATE}, elsewhere, LintSettings(across_pictures=False)) == ()


@pytest.mark.parametrize(
    ("count", "total", "frequent"),
    [(50, 2_499, True), (50, 2_500, False), (49, 49, False), (51, 2_500, True), (2_000, 1_000_000, False)],
)
def test_a_concept_is_too_frequent_above_a_share_and_a_count(count: int, total: int, frequent: bool) -> None:
    last = CorpusContext(candidates=total, same_concept=count, rank_in_concept=count)
    assert finds(Rule.OVER_FREQUENT, GOOD, last) is frequent


def test_only_the_surplus_of_a_concept_is_marked() -> None:
    """Of 60 candidates about hats among 100, the rule accepts the first 49."""
    rows = [CorpusRow(n, f"a dog {n} without a hat", "Hats" if n % 2 else "a hat") for n in range(60)]
    rows += [CorpusRow(n, f"a dog {n} without a cat", f"cat {n}") for n in range(60, 100)]
    counts, ranks = count_corpus(rows), ConceptRanks()
    contexts = [corpus_context(counts, row, rank_in_concept=ranks.next_rank(row.concept)) for row in rows]
    marked = [finds(Rule.OVER_FREQUENT, GOOD, context) for context in contexts]
    assert marked == [False] * 49 + [True] * 11 + [False] * 40


def test_the_key_lists_the_rules_between_commas_in_a_fixed_order() -> None:
    assert findings_key(lint(GOOD)) == ""
    findings = lint(subject("a dog", "hat", siblings=("a hat",)))
    assert findings_key(findings) == findings_key(reversed(findings)) == ",no-cue,concept-lost,in-sibling,"
    assert findings_of(",no-cue,concept-lost,in-sibling,") == (Rule.NO_CUE, Rule.CONCEPT_LOST, Rule.IN_SIBLING)
    assert findings_of("") == findings_of(",a-rule-of-the-future,") == ()
    assert not any(f",{one}," in f",{other}," for one in Rule for other in Rule if one is not other)


def test_settings_are_read() -> None:
    read = _settings({"off": ["over-frequent", "in-objects"], "most_tokens": 40, "frequent_share": 1})
    assert read.rules == ALL_RULES - {Rule.OVER_FREQUENT, Rule.IN_OBJECTS}
    assert (read.most_tokens, read.frequent_share, read.frequent_count) == (40, 1, 50)
    assert _settings({}) == LintSettings()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"of": []}, "unknown key of; did you mean off"),
        ({"off": "no-cue"}, "off = 'no-cue': a list is expected"),
        ({"off": ["nocue"]}, "'nocue': one of: no-cue"),
        ({"off": [3]}, "= 3: one of: no-cue"),
        ({"most_tokens": 78}, "from 3 to 77"),
        ({"most_tokens": 20.5}, "a whole number"),
        ({"most_tokens": True}, "a whole number"),
        ({"frequent_share": 2.0}, "a number from 0"),
        ({"frequent_share": float("nan")}, "a number from 0"),
        ({"frequent_share": "0.1"}, "a number from 0"),
        ({"across_pictures": 1}, "true or false"),
    ],
)
def test_invalid_settings_are_rejected(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _settings(table)


def listed(file: str) -> Iterator[tuple[str, ...]]:
    for line in (DATA / file).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield tuple(line.split("\t"))


HOMONYMS = [(concept, phrase) for concept, row in listed("homonyms.tsv") for phrase in row.split(", ")]


def test_a_homonym_hides_its_own_mention_and_no_other() -> None:
    assert len(HOMONYMS) > 500
    assert len(set(HOMONYMS)) == len(HOMONYMS)
    useless, wide = [], []
    for concept, phrase in HOMONYMS:
        noun = {"*": "zebra", "< animal": "zebra", "< vehicle": "boat"}.get(concept, concept)
        filled = phrase.removeprefix("=").replace("*", "yellowish").replace("~", noun)
        if mentions(filled, noun) or not any(
            object_mentions._pattern(name).search(filled) for name in object_mentions._all_names(noun)
        ):
            useless.append((concept, phrase))
        if not mentions(f"{filled} – there: several {noun}", noun):
            wide.append((concept, phrase))
    assert useless == []
    assert wide == []


@pytest.mark.parametrize(
    ("text", "concept", "mentioned"),
    [
        ("two train cars", "car", False),
        ("two train cars", "cars", False),
        ("a train car, a car", "car", True),
        ("an orange bus", "orange", False),
        ("an orange on a plate", "oranges", True),
        ("bananas and oranges", "orange", True),
        ("a stuffed zebra", "zebra", False),
        ("a stuffed zebra", "animal", False),
        ("stuffed teddy bears", "teddy bear", True),
        ("a toy train", "train", False),
        ("an overly stuffed chair", "chair", True),
        ("a statue of a zebra and a zebra", "zebra", True),
        ("a coffee table", "dining table", False),
        ("a coffee table", "table", True),
        ("a passenger train", "person", False),
        ("passengers of a train", "person", True),
        ("a man", "person", True),
        ("a person", "man", False),
        ("the sofas", "couch", True),
        ("a couch", "sofa", True),
        ("a car", "taxi", False),
        ("three puppies", "dog", True),
        ("three puppies", "the dog", True),
        ("a puppy", "animals", True),
    ],
)
def test_synonyms_count_and_homonyms_do_not(text: str, concept: str, mentioned: bool) -> None:
    assert mentions(text, concept) is mentioned


def test_synonyms_are_symmetric_and_kinds_are_not() -> None:
    for concept, relation, row in listed("synonyms.tsv"):
        for other in row.split(", "):
            if relation == "=":
                assert mentions(f"there: {other}", concept), (concept, other)
                assert mentions(f"there: {concept}", other), (other, concept)
            elif relation == "<":
                assert mentions(f"there: {other}", concept), (concept, other)
                assert not mentions(f"there: {concept}", other), (other, concept)
            else:
                assert relation == "~"
                assert object_mentions.category_matches(concept, other), (concept, other)


def test_a_text_does_not_affirm_what_it_negates() -> None:
    assert not object_mentions.affirms("a woman not wearing a hat", "hat")
    assert object_mentions.affirms("a woman without a hat next to a hat", "hat")
    assert object_mentions.affirms("a cat not looking at the car", "car")
    assert not object_mentions.affirms("a cat not in a car", "car")


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("man", "men"),
        ("bus", "buses"),
        ("vase", "vases"),
        ("tomato", "tomatoes"),
        ("scarf", "scarves"),
        ("lady", "ladies"),
        ("tie", "ties"),
    ],
)
def test_singular_and_plural_have_one_concept_key(one: str, many: str) -> None:
    assert concept_key(f"a {one}") == concept_key(many.upper())
    assert many in forms_of(one)
    assert one in forms_of(many)


ROWS = st.lists(
    st.builds(
        CorpusRow,
        st.integers(1, 3),
        st.sampled_from(["a dog, no hat", "A dog no hat", "the dog no hat", "dog, no hats", "two cats", "2 cats"]),
        st.sampled_from([None, "hat", "hats", "cat"]),
    ),
    min_size=1,
    max_size=12,
)


@given(ROWS)
@settings(deadline=None, max_examples=examples(60))
def test_counts_equal_a_comparison_of_every_pair(rows: list[CorpusRow]) -> None:
    counts = count_corpus(rows)
    for at, row in enumerate(rows):
        others = [other for i, other in enumerate(rows) if i != at]
        here = [other for other in others if other.image == row.image]
        same = [other for other in here if same_key(other.text) == same_key(row.text)]
        near = [other for other in others if near_key(other.text) == near_key(row.text)]
        context = corpus_context(counts, row)
        assert context.candidates == len(rows)
        assert context.same_here == len(same)
        assert context.near_here == sum(other.image == row.image for other in near) - len(same)
        assert context.near_elsewhere == sum(other.image != row.image for other in near)
        alike = [
            other
            for other in rows
            if other.concept and row.concept and concept_key(other.concept) == concept_key(row.concept)
        ]
        assert context.same_concept == len(alike)


def test_keys_do_not_change() -> None:
    """The keys are stored: a change requires a new LINT_VERSION and changes every record."""
    assert near_key("Two dogs aren't in the park.").hex() == near_key("2 dogs are not in a park").hex()
    assert (near_key("a dog").hex(), same_key("a dog").hex()) == ("3984c7c1d25e9c9f", "fe02e6665a225ac7")


@given(st.text(max_size=80), st.text(max_size=20), st.text(max_size=40))
@settings(deadline=None, max_examples=examples(150))
def test_no_text_makes_a_rule_fail(text: str, concept: str, other: str) -> None:
    findings = lint(
        subject(text, concept, tokens=5, caption=other, siblings=(text,), objects={other: 1}), context=ALONE
    )
    assert {finding.rule for finding in findings} <= set(Rule)
    assert len(near_key(text)) == len(same_key(text)) == 8


@pytest.mark.parametrize(
    "piece", ["no ", "not a ", "a man and a ", '"', "(", "no hat and ", "all the ", "# ", "\n-", "a on a "]
)
def test_the_time_for_a_long_text_is_linear(piece: str) -> None:
    """A backtracking pattern would hang on a hundred thousand characters."""
    lint(subject(piece * (100_000 // len(piece)), "hat", tokens=5))


def test_the_linter_imports_no_heavy_library() -> None:
    heavy = "('sqlalchemy', 'numpy', 'torch', 'scipy')"
    code = f"import sys, curation_db.lint.linter; print([m for m in {heavy} if m in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(["a", "Ünï", "_", "²", "Ⅷ", " ", "-", "ß", "İ", "9"])).map("".join))
def test_normalised_texts_are_letters_and_digits_between_blanks(text: str) -> None:
    cleaned = "".join(c if c.isalnum() else " " for c in clean(text).casefold())
    assert normalised(text) == " ".join(cleaned.split())


@settings(deadline=None, max_examples=examples(25), phases=[Phase.generate])
@given(st.data())
def test_the_chatter_prefilter_passes_every_match(data: st.DataObject) -> None:
    """`_may_contain_chatter` accepts every text that a pattern matches."""
    for pattern in chatter._PATTERNS:
        text = data.draw(st.from_regex(re.compile("(?i)" + pattern, re.ASCII)))
        if re.search("(?i)" + pattern, text.strip()):
            assert chatter._may_contain_chatter(text.strip()), (pattern, text)


def test_the_chatter_prefilter_passes_a_lengthened_interjection() -> None:
    assert chatter.chatter_excerpt("hmmmm, a dog without a leash") == "hmmmm, a dog without a leash"


def test_the_cue_of_a_concept_is_the_one_that_negates_it() -> None:
    text = "a bench without a back and a man with no hat"
    cues = {concept: concept_cue(text, concept) for concept in ("hat", "back", "dog", None)}
    assert {concept: cue and cue.text for concept, cue in cues.items()} == {
        "hat": "no",
        "back": "without",
        "dog": "without",
        None: "without",
    }
    longer = concept_cue("a man not riding a horse with a hat, and no hat in sight", "hat")
    assert longer is not None
    assert longer.text == "no"
