"""The token limit and the tokenizer are those of the model, read from its files without torch."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from open_clip import get_tokenizer
from open_clip.tokenizer import SimpleTokenizer
from support.clip_models import make_tiny
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

import workbench
from curation_db.language.clip_tokenizer import count_tokens
from curation_db.language.token_counter import CLIP_TOKENS
from trainers.models.saving import save_hf, save_model, save_pth
from trainers.tokens.token_counting import BPE_FILE, TOKENIZER_FILE, BpeFileCounter, TokenizerFileCounter
from trainers.tokens.token_limit import read_text_limit

DEMO = Path(workbench.__file__).with_name("demo") / "model"
TEXTS = (
    "a man not wearing a hat",
    "A  Dog\twith NO collar, isn't it?",
    "caf\u00e9 \u2014 no under_score &amp; no &lt;tag&gt;",
    "no 12345 trees \U0001f333",
    "",
    "unseenword " * 30,
)
_WORDS = ("a", "man", "dog", "hat", "no", "not", "with", "without", "tree", "red", "wearing")
_CORPUS = [" ".join(random.Random(n).choices(_WORDS, k=9)) for n in range(200)]


def unigram() -> PreTrainedTokenizerFast:
    """A tokenizer like SigLIP's: sentencepiece with an end token only."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def byte_pairs() -> PreTrainedTokenizerFast:
    """A tokenizer like Gemma's: byte pairs with an end token only."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<cls>"]
    tokenizer.train_from_iterator(
        _CORPUS, trainers.BpeTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    names = {
        "pad_token": "<pad>",
        "eos_token": "<eos>",
        "bos_token": "<bos>",
        "unk_token": "<unk>",
        "cls_token": "<cls>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def save_config(folder: Path, **text: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": text}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("spec", "limit"),
    [
        ("ViT-B-32:openai", 77),
        ("ViT-B-32-gelu:w.pth", 77),
        ("PE-Core-B-16:meta", 32),
        ("none.pth", None),
        ("hf-hub:a/b", None),
        ("hf-hub:../../etc", None),
        ("", None),
        ("../../etc:x", None),
    ],
)
def test_names(tmp_path: Path, spec: str, limit: int | None) -> None:
    found = read_text_limit(spec, tmp_path)
    assert (found and found.most_tokens) == limit
    assert found is None or found.counter is CLIP_TOKENS


@pytest.mark.parametrize(
    ("spec", "limit"), [("ViT-B-16-SigLIP:webli", 64), ("ViT-B-16-SigLIP2:webli", 64), ("roberta-ViT-B-32:laion2b", 77)]
)
def test_clips_tokenizer_replaces_one_that_is_not_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, limit: int
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = read_text_limit(spec, tmp_path)
    assert found is not None
    assert found.most_tokens == limit
    assert found.count("a man with no hat") == count_tokens("a man with no hat")
    problem = found.counter.problem()
    assert spec in problem
    assert "\n" not in problem


def test_folders_and_files_beside_a_config(tmp_path: Path) -> None:
    model = make_tiny(context_length=24)
    save_model(model, tmp_path / "run" / "model")
    save_pth(model, tmp_path / "run" / "model.pth")
    save_hf(model, tmp_path / "hf")
    for spec in ("run/model", "run/model.pth", "gelu:run/model.pth", "hf", str(tmp_path / "hf"), "local-dir:hf"):
        found = read_text_limit(spec, tmp_path)
        assert found is not None
        assert (found.most_tokens, found.counter) == (24, CLIP_TOKENS)


def test_damaged_configs_have_no_limit(tmp_path: Path) -> None:
    for content in ("", "{", "[]", '{"model_cfg": {"text_cfg": {"context_length": "many"}}}'):
        (tmp_path / "open_clip_config.json").write_text(content)
        assert read_text_limit(str(tmp_path), tmp_path) is None


@pytest.mark.parametrize("clean", ["whitespace", "lower", "canonicalize"])
@pytest.mark.parametrize("make", [unigram, byte_pairs])
def test_a_tokenizer_on_disk_counts_as_open_clip_does(tmp_path: Path, make: Any, clean: str) -> None:
    """Also where its settings cut and pad texts: the count is that of the whole text."""
    tokenizer = make()
    save_config(
        tmp_path, context_length=400, vocab_size=100, hf_tokenizer_name="timm/x", tokenizer_kwargs={"clean": clean}
    )
    tokenizer.save_pretrained(str(tmp_path))
    theirs = get_tokenizer(f"local-dir:{tmp_path}")
    theirs.tokenizer(["no"], max_length=9, padding="max_length", truncation=True)
    theirs.tokenizer.save_pretrained(str(tmp_path))
    found = read_text_limit(str(tmp_path), Path.cwd())
    assert found is not None
    assert (found.most_tokens, found.counter.problem()) == (400, "")
    expected = [int((row != theirs.tokenizer.pad_token_id).sum()) for row in theirs(list(TEXTS))]
    assert [found.count(text) for text in TEXTS] == expected
    assert expected != [count_tokens(text) for text in TEXTS]
    assert max(expected) > 24


def test_the_mode_with_own_special_tokens_counts_as_open_clip_does(tmp_path: Path) -> None:
    byte_pairs().save_pretrained(str(tmp_path))
    save_config(tmp_path, context_length=120, hf_tokenizer_name="timm/x", tokenizer_mode="clips")
    theirs = get_tokenizer(f"local-dir:{tmp_path}")
    found = read_text_limit(str(tmp_path), Path.cwd())
    assert found is not None
    assert [found.count(text) for text in TEXTS[:3]] == [int((row != 0).sum()) for row in theirs(list(TEXTS[:3]))]


def test_a_tokenizer_in_the_cache_of_the_hub_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--timm--ViT-B-16-SigLIP" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0")
    unigram().save_pretrained(str(snapshot))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = read_text_limit("ViT-B-16-SigLIP:webli", tmp_path)
    assert found is not None
    assert found.counter == TokenizerFileCounter(snapshot / TOKENIZER_FILE, "canonicalize")
    assert found.counter.name == "tokenizer.json of timm/ViT-B-16-SigLIP"
    assert (found.most_tokens, found.counter.problem()) == (64, "")
    save_config(snapshot, context_length=48, hf_tokenizer_name="timm/ViT-B-16-SigLIP")
    whole = read_text_limit("hf-hub:timm/ViT-B-16-SigLIP", tmp_path)
    assert whole is not None
    assert whole.most_tokens == 48


def test_the_demos_own_vocabulary_counts(tmp_path: Path) -> None:
    found = read_text_limit(str(DEMO), tmp_path)
    assert found is not None
    assert (found.most_tokens, found.counter) == (40, BpeFileCounter(DEMO / BPE_FILE))
    theirs = SimpleTokenizer(bpe_path=str(DEMO / BPE_FILE))
    rng = random.Random(3)
    words = [
        line.replace(" ", "").removesuffix("</w>") for line in theirs.bpe_ranks and map(" ".join, theirs.bpe_ranks)
    ]
    texts = [
        *TEXTS,
        *("".join(rng.choices(["", " "], k=1)[0] + word for word in rng.choices(words, k=12)) for _ in range(200)),
    ]
    assert [found.count(text) for text in texts] == [2 + len(theirs.encode(text)) for text in texts]
    assert found.count("<start_of_text> no") == 2 + len(theirs.encode("<start_of_text> no"))


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 20, b'{"version": "1.0"}'])
@pytest.mark.parametrize(("name", "text"), [(TOKENIZER_FILE, {"hf_tokenizer_name": "a/b"}), (BPE_FILE, {})])
def test_clips_tokenizer_replaces_a_damaged_one(tmp_path: Path, name: str, text: Any, content: bytes) -> None:
    save_config(tmp_path, context_length=20, **text)
    (tmp_path / name).write_bytes(content)
    found = read_text_limit(str(tmp_path), tmp_path)
    assert found is not None
    assert found.most_tokens == 20
    assert found.count("no dog") == 4
    assert str(tmp_path / name) in found.counter.problem()
    assert "\n" not in found.counter.problem()


def test_counting_loads_neither_torch_nor_transformers(tmp_path: Path) -> None:
    save_config(tmp_path, context_length=20, hf_tokenizer_name="a/b")
    unigram().save_pretrained(str(tmp_path))
    code = (
        "import sys; from pathlib import Path; from trainers.tokens.token_limit import read_text_limit;"
        "limit = read_text_limit(sys.argv[1], Path()); assert limit.count('a dog') and not limit.counter.problem();"
        "assert not {'torch', 'transformers', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
