"""The loss equals open_clip's, and masked captions of one image are not negatives."""

from __future__ import annotations

import torch
from open_clip.loss import ClipLoss
from torch.nn import functional

from trainers.loop.objectives import con_clip, drift, info_nce, same_image, same_image_across


def _features(rows: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    images, texts = (functional.normalize(torch.randn(rows, 8, generator=generator), dim=-1) for _ in range(2))
    return images, texts


def test_without_a_mask_it_is_open_clips_loss() -> None:
    images, texts = _features()
    scale = torch.tensor(14.3)
    torch.testing.assert_close(info_nce(images, texts, scale), ClipLoss()(images, texts, scale))


def test_pictures_that_all_differ_need_no_mask() -> None:
    images, texts = _features()
    scale = torch.tensor(10.0)
    mask = same_image(torch.arange(9))
    assert not mask.any()
    torch.testing.assert_close(info_nce(images, texts, scale, mask=mask), info_nce(images, texts, scale))


def test_a_masked_pair_is_no_negative() -> None:
    images, texts = _features(4)
    images[1] = images[0]
    scale, mask = torch.tensor(10.0), same_image(torch.tensor([7, 7, 3, 4]))
    assert mask.sum() == 2
    logits = scale * images @ texts.T
    unmasked = [[0, 2, 3], [1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    rows = [torch.logsumexp(logits[i, columns], 0) - logits[i, i] for i, columns in enumerate(unmasked)]
    columns_ = [torch.logsumexp(logits[columns, i], 0) - logits[i, i] for i, columns in enumerate(unmasked)]
    expected = (torch.stack(rows).mean() + torch.stack(columns_).mean()) / 2
    torch.testing.assert_close(info_nce(images, texts, scale, mask=mask), expected)


def test_hard_pictures_are_negatives_of_their_text_only() -> None:
    images, texts = _features(4)
    hard = functional.normalize(torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    scale = torch.tensor(10.0)
    logits = scale * images @ texts.T
    by_text = []
    for i in range(4):
        further = scale * hard[i] @ texts[i] if i < 2 else torch.empty(0)
        by_text.append(torch.logsumexp(torch.cat([logits[:, i], further]), 0) - logits[i, i])
    by_image = functional.cross_entropy(logits, torch.arange(4))
    torch.testing.assert_close(info_nce(images, texts, scale, hard=hard), (by_image + torch.stack(by_text).mean()) / 2)


def test_a_replayed_caption_is_no_negative_of_its_own_image() -> None:
    """Texts 0 and 1 are of image 7 and stay negatives of each other, as published; row 3 replays a caption of it."""
    mask = same_image_across(torch.tensor([7, 7, 5, 7, 6]), 2)
    assert mask.nonzero().tolist() == [[0, 3], [1, 3], [3, 0], [3, 1]]
    assert not same_image_across(torch.tensor([7, 7, 5]), 0).any()


def test_a_place_without_a_hard_image_counts_for_nothing() -> None:
    images, texts = _features(4)
    hard = functional.normalize(torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    scale, none = torch.tensor(10.0), torch.tensor([[False, False, True], [False, False, True]])
    without = info_nce(images, texts, scale, hard=hard, no_hard=none)
    torch.testing.assert_close(without, info_nce(images, texts, scale, hard=hard[:, :2]))
    everything = info_nce(images, texts, scale, hard=hard, no_hard=torch.ones(2, 3, dtype=torch.bool))
    torch.testing.assert_close(everything, info_nce(images, texts, scale))


def test_false_texts_are_negatives_of_every_image_and_of_no_text() -> None:
    images, texts = _features(4)
    false = functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    scale, mask = torch.tensor(10.0), same_image(torch.tensor([7, 7, 3, 4]))
    logits = scale * images @ texts.T
    terms = []
    for i in range(4):
        others = [j for j in range(4) if not mask[i, j]]
        further = torch.stack([scale * images[i] @ text for text in false])
        terms.append(torch.logsumexp(torch.cat([logits[i, others], further]), 0) - logits[i, i])
        terms.append(torch.logsumexp(logits[others, i], 0) - logits[i, i])
    expected = torch.stack(terms).sum() / 8
    torch.testing.assert_close(info_nce(images, texts, scale, mask=mask, false_texts=false), expected)


def test_drift_is_nothing_where_nothing_moved() -> None:
    _, texts = _features()
    assert drift(texts, texts).abs() < 1e-6
    torch.testing.assert_close(drift(texts, -texts), torch.tensor(2.0))


def _published_con_clip(images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The published loss (jaisidhsingh/CoN-CLIP, src/training_utils/loss_functions.py), row by row.

    The first half of the rows are images with their captions, the second half distractors with the negated captions.
    """
    half = len(images) // 2
    total = torch.tensor(0.0)
    for row in range(half):
        image, text, distractor = images[row], texts[row], images[half + row]
        for query, match, keys in ((image, text, texts), (text, image, images), (distractor, texts[half + row], texts)):
            total = total + torch.logsumexp(scale * keys @ query, 0) - scale * query @ match
    return total / (3 * half)


def test_con_clip_is_the_published_loss() -> None:
    images, texts = _features(8)
    scale = torch.tensor(14.3)
    expected = _published_con_clip(images, texts, scale)
    affirmed_last = [tensor.roll(4, 0) for tensor in (images, texts)]  # published: affirmed rows first
    torch.testing.assert_close(con_clip(*affirmed_last, scale, affirmed=4), expected)


def test_con_clip_leaves_out_what_is_masked() -> None:
    """Rows 0-2 are negated texts, row 3 affirms; image 7 has the negated text 1 and the caption 3."""
    images, texts = _features(4)
    scale, mask = torch.tensor(10.0), same_image_across(torch.tensor([5, 7, 6, 7]), 1)
    logits = scale * images @ texts.T
    by_image = [torch.logsumexp(logits[i, [0, 1, 2] if i == 1 else [0, 1, 2, 3]], 0) - logits[i, i] for i in range(3)]
    affirmed = torch.logsumexp(logits[3, [0, 2, 3]], 0) + torch.logsumexp(logits[[0, 2, 3], 3], 0) - 2 * logits[3, 3]
    expected = (torch.stack(by_image).mean() + affirmed) / 3
    torch.testing.assert_close(con_clip(images, texts, scale, affirmed=1, mask=mask), expected)


def test_con_clip_without_affirmed_rows_has_one_part() -> None:
    images, texts = _features(3)
    logits = torch.tensor(10.0) * images @ texts.T
    expected = functional.cross_entropy(logits, torch.arange(3)) / 3
    torch.testing.assert_close(con_clip(images, texts, torch.tensor(10.0), affirmed=0), expected)
