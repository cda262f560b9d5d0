"""What a score on a registered benchmark does not show, by the name of the task or of the benchmark it is a part of.

Known defects of the published files and rules, with the figures that a reader needs to judge a score. What can be
computed is computed and stands in the report: baselines, ties, verdicts. Does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_FIRST_IS_RIGHT: Final = "the right caption is always the first: a constant model, or NaN, has 100 % under official"
_REMARKS: Final = "some captions have remarks of the language model that wrote them; all others are the subset clean"
_UNVERIFIED: Final = "absent objects were proposed by a language model and verified by a detector, not by people"
_OWN_ONLY: Final = "only the captions written for an image count as right, though others may describe it too"
_NOT_NEGATION: Final = "not about negation: it shows what a tuned model retained"

CAVEATS: Final[Mapping[str, tuple[str, ...]]] = {
    "negrefcocog": (
        "the right box is the first one in all 440 items: a constant model, or NaN, has 100 % under official",
        "the smaller box is right in 252 of the 440 items (57.3 %), as many as published for CLIP ViT-L/14",
        "its images are of COCO train2014, whose captions are training data of NegationCLIP and others",
    ),
    "valse": (
        "published figures are over all items or over the valid ones only, whose caption two of three annotators chose",
    ),
    "valse-existence": ("figures of the NegationCLIP paper are over all 534 items, those of VALSE over the 505 valid",),
    "sugarcrepe": (
        "hardly any item has a negation (86 of the 1,406 of replace-rel): it shows what a tuned model retained",
        "published figures of models tuned from OpenAI's CLIP were measured with GELU instead of QuickGELU",
    ),
    "beaf": (
        "the captions (a photo with a car, a photo without a car) are negwb's: BEAF has questions for language models",
        "the copies are edited: traces of the removal can show which image is which",
    ),
    "contextnegbench-lite": ("15 drawn images: an example of the format, too few items for any conclusion",),
    "negbench-coco-mcq": (
        _FIRST_IS_RIGHT,
        _REMARKS,
        _UNVERIFIED,
        "16.3, 24.7 and 39.3 % are published for one CLIP ViT-B/32: features must be scaled to length 1, as here",
    ),
    "negbench-voc-mcq": (_FIRST_IS_RIGHT, _REMARKS, _UNVERIFIED),
    "negbench-synthetic-mcq": (
        _REMARKS,
        "blind rules are far above the chance of 25 %: no negation cue 49.8 %, shortest caption 40.3 %",
    ),
    "negbench-coco-t2i": (_NOT_NEGATION, _OWN_ONLY),
    "negbench-coco-i2t": (_NOT_NEGATION, _OWN_ONLY),
    **{
        f"negbench-{name}-neg-{direction}": (
            "recall does not show whether the scene or the negation decided: a model that ignores negation can be good",
            *((_OWN_ONLY, _UNVERIFIED) if name == "coco" else (_OWN_ONLY,)),
        )
        for name in ("coco", "synthetic")
        for direction in ("t2i", "i2t")
    },
    "ccneg": (
        "the blind rule no negation cue is right in nearly all items: avoiding negated captions is enough for 100 %",
        "a tie, or NaN, counts as right under official",
    ),
    "aro": (
        "a language model that sees no image is above chance (Hsieh et al., NeurIPS 2023)",
        "the paper averages over relations or attributes; here each item counts once, and they are slices",
        _NOT_NEGATION,
    ),
    "coco": (_NOT_NEGATION, _OWN_ONLY),
    "flickr30k": (_NOT_NEGATION, _OWN_ONLY),
    "imagenet": (
        _NOT_NEGATION,
        "two pairs of classes have the same name (missile, sunglasses), so that their 200 images are ties",
        "some images show several classes, of which one counts as right (Beyer et al., 2020)",
    ),
    "imagenet-one-prompt": (
        "published figures depend on the prompts: of CLIP ViT-B/32, 63.32 % with 80, 62.02 % in the NegationCLIP paper",
    ),
    "cifar10": (_NOT_NEGATION, "images of 32 x 32 pixels are enlarged to the input size of the model"),
    "cifar100": (_NOT_NEGATION, "images of 32 x 32 pixels are enlarged to the input size of the model"),
    "celeba": (
        "prompts and choice of images are those of negwb: the 60.8 % of the NegationCLIP paper, which states neither, "
        "is not comparable",
        "several attributes are a matter of opinion (Attractive, Big_Nose), and their labels are noisy",
    ),
    "simpleneg": (
        "scores over other folders of images, or by another judge, are not comparable",
        "the judge errs: its measured error is part of the interval only after people reviewed some of its answers",
    ),
}


def caveats_of(task: str, benchmark: str) -> tuple[str, ...]:
    """Return the caveats of a registered task; those of the task itself come first.

    Args:
        benchmark: The benchmark that it is a part of; its own name if it is none.
    """
    return CAVEATS.get(task, ()) + (CAVEATS.get(benchmark, ()) if benchmark != task else ())
