"""ImageNet (Russakovsky et al., IJCV 2015): 1,000 classes, the 50,000 images of the validation set.

Reads val/WNID/*.JPEG, one sub-folder per WordNet id, as torchvision and open_clip do; the classes are numbered in the
order of their ids. Names are OpenAI's, from open_clip. Two names occur twice ("missile" and "sunglasses"): the two
classes of each always tie, so `official` counts the first of them and `strict` neither (200 images, 0.4 %).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.task import Task
from benchmarks.tasks.classification.classes import LabelledImage, classification_task
from benchmarks.tasks.classification.folder import images_by_class
from benchmarks.tasks.classification.prompts import ONE_PROMPT, imagenet_classes, openai_imagenet
from benchmarks.tasks.published_files import check_count

VERSION = "1"
NAME = "imagenet"
IMAGES = "val"
ONE_PROMPT_SUFFIX: Final = "-one-prompt"
PUBLISHED: Final = 50_000
"""Images of the validation set."""
_WORDNET_ID: Final = re.compile(r"n\d{8}")
_HINT: Final = (
    "image-net.org has ILSVRC2012_img_val.tar (non-commercial research, after registration); "
    "sort the images into val/n01440764/ and so on, as torchvision's ImageNet does"
)


def load(name: str, folder: Path, pictures: Path | None = None) -> Task:
    """Load the validation set.

    Args:
        name: imagenet with OpenAI's 80 templates, or imagenet-one-prompt with "a photo of a {}.".
        pictures: Folder of the sub-folders; None: val/ in `folder`.

    Raises:
        BenchError: The folder is missing, or has not the published classes or number of images.
    """
    root = pictures or folder / IMAGES
    if not root.is_dir():
        raise BenchError(f"no such folder: {root}", hint=_HINT)
    by_class = images_by_class(root)
    names = imagenet_classes()
    if foreign := [each for each in by_class if not _WORDNET_ID.fullmatch(each)]:
        raise BenchError(f"{root}: {foreign[0]!r} is not a WordNet id", hint=_HINT)
    if len(by_class) != len(names):
        raise BenchError(f"{root} has {len(by_class):,} classes, ImageNet has {len(names):,}", hint=_HINT)
    images = [LabelledImage(image, place) for place, of_class in enumerate(by_class.values()) for image in of_class]
    check_count(len(images), PUBLISHED, root)
    templates = ONE_PROMPT if name.endswith(ONE_PROMPT_SUFFIX) else openai_imagenet()
    return classification_task(name, VERSION, images, names, templates, root, where=str(root), keys=list(by_class))
