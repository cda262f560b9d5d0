"""Token ids and counts against open_clip's tokenizer."""

from __future__ import annotations

import importlib.util
import json
import lzma
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.examples import examples

from curation_db.language import clip_tokenizer


@pytest.fixture(scope="module")
def theirs() -> Any:
    """Load open_clip's tokenizer from its file: importing all of open_clip takes longer than these tests."""
    package = importlib.util.find_spec("open_clip")
    if package is None or package.origin is None:
        pytest.skip("open_clip is not installed")
    spec = importlib.util.spec_from_file_location("their_tokenizer", Path(package.origin).with_name("tokenizer.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


def _texts(shared_data: Path) -> Iterator[str]:
    for item in json.loads((shared_data / "NegRefCOCOg.json").read_bytes()):
        yield item["phrase"]
    for item in json.loads((shared_data / "valse_existence.json").read_bytes()).values():
        yield from (item["caption"], item["foil"])
    for file in sorted((shared_data / "sugarcrepe").glob("*.json")):
        for item in json.loads(file.read_bytes()).values():
            yield from (item["caption"], item["negative_caption"])
    for line in (shared_data / "contextnegbench_lite" / "annotations.jsonl").read_text().splitlines():
        item = json.loads(line)
        yield from (item["correct_caption"], *item["hard_negative_captions"])


def test_every_real_text_is_tokenised_as_open_clip_does(theirs: Any, shared_data: Path) -> None:
    texts = set(_texts(shared_data))
    assert len(texts) > 5_000
    different = [text for text in texts if clip_tokenizer.encode(text) != theirs.encode(text)]
    assert different == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a woman not wearing a hat",
        "DON'T I'll they're we've it's I'm he'd 'S",
        "a_b __init__ snake_case_",
        "route 66, no. 35; 1,000.50",
        "<start_of_text> said <END_OF_TEXT> twice<end_of_text>",
        "<start_of_text",
        "tom &amp; jerry &amp;amp;amp; &lt;b&gt; &#39; &nbsp; &amp;lt;start_of_text&amp;gt;",
        "<b>5 &lt; 6</b>",
        "null\x00byte \x1b[31mred\x1b[0m \x7f\x85 tab\tnew\r\nline\x0bvt\x1cfs",
        "café naïve Ångström Ελλάδα привет 東京 ไทย हिन्दी",
        "mojibake: cafÃ© â€œquotedâ€\x9d donâ€™t",
        "it’s “curly” – dash … ﬁne ½ ² ٣ Ⅷ",
        "👍🏽 👨‍👩‍👧 🇩🇪 ❤️ ❤",
        "İstanbul ſ K ŉ ß 'ſ",
        "\ud800 lone",
        "\u202eevil\u202c \u200b zero\ufeff width",
        "a" * 300,
        "xyz" * 200,
        "...!!!???" * 30,
        "\u3000ideographic\u2028line\u00a0nbsp",
    ],
)
def test_handcrafted_text_is_tokenised_as_open_clip_does(theirs: Any, text: str) -> None:
    try:
        expected = theirs.encode(text)
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            clip_tokenizer.encode(text)
        return
    assert clip_tokenizer.encode(text) == expected


@settings(max_examples=examples(400), deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
@example("0'ſ")
def test_any_text_is_tokenised_as_open_clip_does(theirs: Any, text: str) -> None:
    assert clip_tokenizer.encode(text) == theirs.encode(text)


@settings(max_examples=examples(200), deadline=None)
@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_plain_text_needs_no_repair(theirs: Any, text: str) -> None:
    """The path without ftfy, `html` and `regex` gives the same result."""
    assert clip_tokenizer.encode(text) == theirs.encode(text)


@settings(max_examples=examples(100), deadline=None)
@given(st.text("aehnot", min_size=65, max_size=400))
def test_long_words_are_merged_as_open_clip_does(theirs: Any, word: str) -> None:
    assert clip_tokenizer.encode(word) == theirs.encode(word)


def test_tokens_have_a_start_and_an_end_and_count_agrees() -> None:
    text = "a woman not wearing a hat riding a horse in a field"
    ids = clip_tokenizer.tokens(text)
    assert (ids[0], ids[-1]) == (49_406, 49_407)
    assert ids[1:-1] == clip_tokenizer.encode(text)
    assert clip_tokenizer.count_tokens(text) == len(ids) == 14
    assert clip_tokenizer.count_tokens("") == 2


def test_the_token_count_equals_open_clip_s(theirs: Any) -> None:
    row = theirs("a park with no tree")[0]
    assert row.tolist()[: clip_tokenizer.count_tokens("a park with no tree")] == clip_tokenizer.tokens(
        "a park with no tree"
    )
    assert len(row) == clip_tokenizer.CONTEXT_LENGTH


def test_no_merge_result_occurs_twice() -> None:
    """Each merge joins bytes or results of earlier merges, and its result is new."""
    packed = files("curation_db").joinpath("data/clip_merges.txt.xz").read_bytes()
    merges = [line.split(" ") for line in lzma.decompress(packed).decode("utf-8").split("\n")]
    assert len(merges) == 48_894
    assert len(packed) < 400_000
    results: set[str] = set()
    for left, right in merges:
        for part in (left, right):
            assert part in results or len(part.removesuffix("</w>")) == 1
        assert left + right not in results
        results.add(left + right)


def test_the_time_for_a_megabyte_in_one_word_is_linear() -> None:
    assert clip_tokenizer.count_tokens("no" * 100_000) > 1_000


def test_plain_text_loads_neither_ftfy_nor_regex() -> None:
    code = (
        "import sys; from curation_db.language.clip_tokenizer import count_tokens; assert count_tokens('no dog') == 4;"
        "print([name for name in ('ftfy', 'regex', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
