"""Hard images: the nearest ones, without the text's own image and without those that it may be true of."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from support.clip_models import draw_pictures, freeze, make_tiny, tiny_config

from curation_db.enums import Reason, State
from curation_db.exporting.manifest import ExportItem
from trainers.data.dataset import locate_in, read_set, write_pool
from trainers.data.hard_images import find_hard_images, hard_candidates
from trainers.data.possible_matches import Matches
from trainers.loop.batches import Table
from trainers.loop.finetune import run_training
from trainers.models.saving import save_model
from trainers.settings import create_run

IMAGES = torch.eye(4)
TEXTS = torch.tensor([[1.0, 0.9, 0.8, 0.7]])
"""The base model ranks the images 0, 1, 2, 3; 0 is the text's own."""
PAIRS = Table(IMAGES[:1], torch.zeros(1, 1), torch.tensor([0]), torch.tensor([10]))
POOL = Table(IMAGES, torch.zeros(4, 1), torch.arange(4), torch.tensor([10, 11, 12, 13]))


def test_an_image_in_set_and_pool_is_one_candidate() -> None:
    names, features = hard_candidates(PAIRS, POOL)
    assert names.tolist() == [10, 11, 12, 13]
    assert torch.equal(features, IMAGES)


def test_possible_matches_make_room_for_the_next_nearest() -> None:
    names, features = hard_candidates(PAIRS, POOL)
    everything = find_hard_images(PAIRS, names, features, TEXTS, 2)
    assert everything is not None
    assert everything.rows.tolist() == [[1, 2]]
    some = find_hard_images(PAIRS, names, features, TEXTS, 2, lambda row: Matches(frozenset([0, 1]), frozenset([3])))
    assert some is not None
    assert some.rows.tolist() == [[2, -1]]
    assert (some.by_decision, some.by_words) == (1, 0), "the own image and the one behind the nearest two do not count"
    hard, absent = some.of(torch.tensor([0]).numpy())
    assert absent is not None
    assert absent.tolist() == [[False, True]]
    assert torch.equal(hard[0, 0], IMAGES[2])
    assert everything.of(torch.tensor([0]).numpy())[1] is None
    assert some.summary() == {"wanted": 2, "found": 1, "left_out_by_decisions": 1, "left_out_by_words": 0}


def test_the_export_tells_what_was_decided_about_the_concept(tmp_path: Path) -> None:
    (path,) = draw_pictures(tmp_path / "pictures", 1)
    decided = {
        "accepted": (State.ACCEPTED, (), False),
        "judged": (State.OPEN, (), False),
        "present": (State.REJECTED, (str(Reason.PRESENT),), True),
        "other": (State.REJECTED, (str(Reason.UNGRAMMATICAL),), None),
    }
    items = [
        ExportItem(
            key=key,
            source="s",
            image_key="1",
            file_name=path.name,
            text="no hat",
            concept="hat",
            state=str(state),
            reasons=reasons,
        )
        for key, (state, reasons, _) in decided.items()
    ]
    freeze(tmp_path / "export", items)
    pairs = read_set(tmp_path / "export", locate_in({"s": [tmp_path / "pictures"]})).pairs
    assert [pair.has_concept for pair in pairs] == [has for _, _, has in decided.values()]


def test_a_run_reports_replay_and_hard_images(tmp_path: Path) -> None:
    """Half of the images show a hat by their captions; "no hat" may be true of the others, which have a dog, too."""
    paths = draw_pictures(tmp_path / "pictures", 12)
    items = [
        ExportItem(
            key=p.stem, source="src", image_key=p.stem, file_name=p.name, text="a dog with no hat", concept="hat"
        )
        for p in paths[:4]
    ]
    freeze(tmp_path / "export", items)
    captions = [("a dog in a hat",) if number % 2 else ("a dog",) for number in range(8)]
    listed = zip((f"pictures/{path.name}" for path in paths[4:]), captions, strict=True)
    write_pool(tmp_path / "pool.jsonl", listed)
    save_model(make_tiny(), tmp_path / "model")
    # fmt: off
    config = tiny_config(tmp_path, steps=2, batch=24, val_share=0, keep="last", replay_share=0.5, hard_pictures=11,
                         replay_pool=str(tmp_path / "pool.jsonl"))
    # fmt: on
    create_run(tmp_path / "r", config)
    data = run_training(tmp_path / "r")["data"]
    assert data["replay"] == {"rows": 8, "batch": 12, "share": round(8 / 12, 6)}
    # for each of 4 texts: 3 other pairs by decision, 4 of the pool by words
    assert data["hard_images"] == {
        "wanted": 44,
        "found": 16,
        "left_out_by_decisions": 12,
        "left_out_by_words": 16,
    }
    assert json.loads((tmp_path / "r" / "done.json").read_text())["data"] == data
    log = (tmp_path / "r" / "log.txt").read_text()
    assert "warning: a batch replays 8 affirmative captions in 12 rows" in log
    assert "12 by decisions, 16 by the words of captions" in log
