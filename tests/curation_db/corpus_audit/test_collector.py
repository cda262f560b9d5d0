"""The fast paths of the audit give the counts of a plain loop over the captions."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from curation_db.corpus_audit import block_scan
from curation_db.corpus_audit.collector import Collector, SampleSizes
from curation_db.corpus_audit.counts import AuditCounts, CueSums, Group
from curation_db.corpus_audit.samples import Origin
from curation_db.corpus_audit.word_class import word_class
from curation_db.importing.rows import TEXT_LIMIT
from curation_db.language.negation_cues import HINTS, CueClass, find_cues, has_cue
from curation_db.language.sanitize import clean

SIZES = SampleSizes(per_cue=2, absent=3, seed=7)
_WORDS = """
no No NO not none nobody nothing without w/o isn't isn\u2019t cannot never neither nor lack missing untied unhelmeted
under until by sleeveless Hatless sugar-free non-smoking unless dress absent of (no) not-a a dog cat
park the \u00e9t\u00e9 \u4e2d\u6587 \U0001f600 caf\u00e9 \u212aate \u0130 ' " - 0 _ \u200b
"""
_PHRASES = ["no one", "no longer", "devoid of", "no. 5", "no parking sign", 'says "no dogs"', "fails to", "unaided by"]
_CONTROLS = [
    "\t",
    "  ",
    "\x0b",
    "\x1c",
    "\x85",
    "\u2028",
    "\r",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\x7f",
    "\u00a0",
    "\u3000",
]
_PIECES = st.sampled_from([*_WORDS.split(), *_PHRASES, *_CONTROLS, *sorted(HINTS)])
CAPTIONS = st.lists(_PIECES, max_size=8).flatmap(
    lambda pieces: st.sampled_from(["", " ", " ", " "]).map(lambda blank: blank.join(pieces))
) | st.text(max_size=30)
"""Captions with cues and near cues, and any text at all."""


def counted_slowly(texts: list[str]) -> AuditCounts:
    """Return the counts of an obvious loop over the captions."""
    total = AuditCounts()
    for raw in texts:
        text = clean(raw)
        words = text.split()
        if not words:
            total.empty += 1
            continue
        total.captions += 1
        total.words += len(words)
        total.word_squares += len(words) ** 2
        hits: dict[tuple[Group, str], set[int]] = {}
        for cue in find_cues(text):
            word = len(text[: cue.start + 1].split()) - 1
            is_mention = cue.cue_class is CueClass.MENTION
            for key in (
                (Group.ALL, "any cue"),
                (Group.USE, "mention" if is_mention else "negates"),
                (Group.CLASS, str(word_class(cue))),
                (Group.CUE, cue.word),
                (Group.POSITION, str(cue.position)),
                (Group.TYPE, str(cue.negation_type)),
            ):
                hits.setdefault(key, set()).add(word)
            if not is_mention and cue.target is None:
                total.without_target += 1
            elif not is_mention:
                total.targets[str(cue.target)[:60]] += 1
        for key, places in hits.items():
            sums = total.sums.setdefault(key, CueSums())
            sums.captions += 1
            sums.hits += len(places)
            sums.squares += len(places) ** 2
            sums.products += len(places) * len(words)
    return total


def of_lines(texts: list[str], block_lines: int) -> Collector:
    collector = Collector("a.txt", SIZES)
    for at in range(0, len(texts), block_lines):
        collector.add_lines("".join(f"{text}\n" for text in texts[at : at + block_lines]).encode())
    return collector


def of_texts(texts: list[str]) -> Collector:
    collector = Collector("a.txt", SIZES)
    collector.add_texts(texts, lambda at: Origin("a.txt", at + 1), lambda at: f"{at}.jpg")
    return collector


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(CAPTIONS, max_size=12), st.integers(1, 5))
def test_the_fast_paths_count_what_a_plain_loop_counts(texts: list[str], block_lines: int) -> None:
    lines = [text.replace("\n", " ") for text in texts]
    assert of_texts(texts).counts == counted_slowly(texts)
    assert of_lines(lines, block_lines).counts == counted_slowly(lines)


@settings(max_examples=examples(150), deadline=None)
@given(CAPTIONS)
def test_a_caption_with_a_cue_is_a_candidate(text: str) -> None:
    text = clean(text).replace("\n", " ")
    result = block_scan.scan(f"{text}\n".encode())
    if has_cue(text):
        assert result.candidates or result.others


@pytest.mark.parametrize("shape", ["{}", "{} x", "x {}", "x {} x", "X-{}'s", '"{}"', "1{}2"])
def test_every_hint_makes_a_candidate(shape: str) -> None:
    for hint in HINTS:
        for spelling in (hint, hint.upper(), hint.capitalize()):
            block = ("a dog in a park\n" + shape.format(spelling) + "\na cat\n").encode()
            assert [line for line, *_ in block_scan.scan(block).candidates] == [1]


@pytest.mark.parametrize(
    "text",
    ["a Sleeveless dress", "HATLESS man", "a dog unrestrained by rope", "Unrestrained  BY rope", "unknown\tby men"],
)
def test_cues_without_a_listed_word_are_found(text: str) -> None:
    assert has_cue(text)
    collector = of_lines(["a dog", text, "a cat"], 3)
    assert collector.counts.of(Group.ALL, "any cue").captions == 1


def test_few_captions_without_a_cue_are_candidates() -> None:
    draw = random.Random(3)
    words = "a man riding wave on top of surfboard large standing water under from counter street sign with"
    block = "".join(" ".join(draw.choices(words.split(), k=10)) + "\n" for _ in range(2000)).encode()
    assert len(block_scan.scan(block).candidates) < 20


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(CAPTIONS, max_size=16), st.randoms(use_true_random=False))
def test_parts_merge_to_the_whole_in_any_order(texts: list[str], draw: random.Random) -> None:
    whole = of_texts(texts)
    cuts = sorted(draw.randint(0, len(texts)) for _ in range(3))
    parts = [(start, texts[start:end]) for start, end in zip([0, *cuts], [*cuts, len(texts)], strict=True)]
    collectors = []
    for start, part in parts:
        collector = Collector("a.txt", SIZES)
        collector.add_texts(part, lambda at, s=start: Origin("a.txt", s + at + 1), lambda at, s=start: f"{s + at}.jpg")
        collectors.append(collector)
    draw.shuffle(collectors)
    total, absent, samples = AuditCounts(), Collector("a.txt", SIZES).absent, {}
    for each in collectors:
        total.merge(AuditCounts.from_json(each.counts.to_json()))
        absent.merge(each.absent)
        for word, sample in each.samples.items():
            if word in samples:
                samples[word].merge(sample)
            else:
                samples[word] = sample
    assert total == whole.counts
    assert list(absent) == list(whole.absent)
    assert {word: list(sample) for word, sample in samples.items()} == {
        word: list(sample) for word, sample in whole.samples.items()
    }


def test_the_sample_is_uniform_over_captions() -> None:
    seen = [0] * 20
    for seed in range(400):
        collector = Collector("a.txt", SampleSizes(per_cue=5, seed=seed))
        collector.add_texts([f"no dog {at}" for at in range(20)], lambda at: Origin("a.txt", at + 1))
        for each in collector.samples["no"]:
            seen[int(each.text.split()[-1])] += 1
    assert sum(seen) == 2000
    assert all(60 < count < 140 for count in seen)  # 100 expected, standard deviation 8.7


def test_bad_rows_are_counted_with_their_place() -> None:
    collector = Collector("a.txt", SIZES)
    collector.add_lines(b"a dog\n\xff no dog\n" + b"x" * (TEXT_LIMIT + 1) + b"\n \nno cat\n")
    assert collector.counts.captions == 2
    assert collector.counts.empty == 1
    assert dict(collector.bad) == {"encoding": 1, "text-too-long": 1}
    assert [(bad.origin.shown(), str(bad.reason)) for bad in collector.listed] == [
        ("a.txt, line 2", "encoding"),
        ("a.txt, line 3", "text-too-long"),
    ]
    collector.add_text(17, lambda: Origin("a.json", None, "annotations[3]"))
    collector.add_texts(["ok", "half \ud800 pair"], lambda at: Origin("a.json", None, f"[{at}]"))
    assert collector.bad["bad-value"] == 1
    assert collector.listed[-1].origin.shown() == "a.json, [1]"
    assert collector.counts.captions == 3


def test_a_caption_at_the_limit_is_counted() -> None:
    text = "no " + "x" * (TEXT_LIMIT - 3)
    collector = Collector("a.txt", SIZES)
    collector.add_lines(f"{text}\n{text}x\n".encode())
    assert collector.counts.captions == 1
    assert collector.bad["text-too-long"] == 1


def test_too_many_targets_are_cut_to_the_frequent_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation_db.corpus_audit.counts.MOST_TARGETS", 50)
    monkeypatch.setattr("curation_db.corpus_audit.counts._KEPT_TARGETS", 5)
    collector = Collector("a.txt", SIZES)
    collector.add_texts(["no dog"] * 60 + [f"no q{at:03}x" for at in range(100)], lambda at: Origin("a.txt", at))
    counts = collector.counts
    assert len(counts.targets) <= 50
    assert counts.targets["dog"] == 60
    assert sum(counts.targets.values()) + counts.rare_targets + counts.without_target == 160
