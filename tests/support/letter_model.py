"""The files of a model whose tokenizer makes a token of each letter: its counts differ from CLIP's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path


def write_letter_model(folder: Path, most_tokens: int) -> Path:
    """Write configuration and vocabulary, without weights; the counts are letters + 2 (start and end of text)."""
    folder.mkdir(parents=True)
    text = {"context_length": most_tokens, "vocab_size": 515}
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": text}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "bpe.txt.gz").write_bytes(gzip.compress(b"#version\n# #"))
    return folder
