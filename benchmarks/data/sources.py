"""Where the files of each benchmark come from, under which licence, and what a person has to get by hand.

Hashes are those of the published files at the named commits. Files on Google Drive, behind forms, or only in archives
of many gigabytes are not downloaded: their sources have no address, but a description of where a person gets them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.tasks import aro, ccneg, coco_flickr, contextnegbench, negbench, negrefcocog, sugarcrepe, valse


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationFile:
    name: str
    """File name in the folder of the benchmark."""
    urls: tuple[str, ...] = ()
    """Addresses; a later one is used if the earlier ones fail. (): it cannot be downloaded."""
    sha256: str | None = None
    """None: any content is valid that the loader of the task accepts."""
    zipped: bool = False
    """The file is in a zip archive at `urls`, in any folder of it."""
    most_bytes: int = 64 << 20
    by_hand: str = ""
    """Where a person gets it, if it cannot be downloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """A source of those images whose names match a pattern."""

    pattern: str = ""
    """Regular expression, searched in the name that the task uses."""
    bases: tuple[str, ...] = ()
    """Addresses to which the name is appended. (): the images cannot be downloaded."""
    licence: str = ""
    by_hand: str = ""
    """Where a person gets them, if they cannot be downloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSource:
    files: tuple[AnnotationFile, ...]
    licence: str
    """Licence of the annotations."""
    images: tuple[ImageSource, ...]
    """The first source whose pattern matches an image is its source."""
    mirrored_folder: str = ""
    """Folder of the images on a mirror, below its address."""

    def image_source(self, name: str) -> ImageSource | None:
        """Return the source of an image; None: unknown."""
        return next((each for each in self.images if re.search(each.pattern, name)), None)

    def on_mirror(self, url: str) -> BenchmarkSource:
        """Return the source with all files at `url`, a copy of the benchmark's folder; the hashes are the same."""
        base = url.rstrip("/")
        folder = f"{base}/{self.mirrored_folder}".rstrip("/") + "/"
        return replace(
            self,
            files=tuple(replace(file, urls=(f"{base}/{file.name}",), zipped=False) for file in self.files),
            images=tuple(replace(each, bases=(folder,)) for each in self.images),
        )


_GITHUB: Final = "https://raw.githubusercontent.com"
# http, because COCO's host has no certificate for its own name.
_COCO: Final = "http://images.cocodataset.org"
_COCO_LICENCE: Final = "licences of their owners on Flickr (cocodataset.org/#termsofuse)"
_KARPATHY: Final = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
_KARPATHY_BYTES: Final = 512 << 20
_VALSE: Final = f"{_GITHUB}/Heidelberg-NLP/VALSE/2152d90d4aecd11f7f74cf03420abcb63efff9c5/data"
_SUGARCREPE: Final = f"{_GITHUB}/RAIVNLab/sugar-crepe/0047054b243992f0fad63d6f64f7544862daf846/data"
_CONTEXT: Final = (
    f"{_GITHUB}/FrancescoEPFL/ContextNegBench-Lite/17b8edb26baa266a786690b8185c71ba55c16191/data/sample_synthetic"
)
_NEGATIONCLIP: Final = (
    f"{_GITHUB}/parkquasar/NegationCLIP/6f858ee490d5c17d54cbc1862dfd44f74f36324d/NegRefCOCOg/NegRefCOCOg.json"
)
_VALSE_HASHES: Final[Mapping[str, str]] = {
    "actant-swap": "915294ac3ade7c4c067b1c6841d0db93b60cb8a61ac8e2fb6b125c2a1c0ca93a",
    "action-replacement": "336ba134f29a3475d0508809067218909a6bd30f079c59309d19244eccb7917f",
    "coreference-hard": "ef54d8d971d9e0f264e07de08d9915c6e3d6129a2f239888f2b938f5c2eb4139",
    "coreference-standard": "dae1d9eb018acb54e29a1c4983f3563f86ec3b6beb4037a261564270b0473e95",
    "counting-adversarial": "0d23529308449c98b37a91048a865a5f377325eceb9accd73f2947bc512d12b0",
    "counting-hard": "2cc83615653675fb50914ce2d8ab4041cce1278eed7ac0abf6f319dbce5c967a",
    "counting-small-quant": "ca0645885b05738f6c6df2dffec70c669aaff64114017f33425821faab4bc374",
    "existence": "b20fca52eba86c544083d423345a2e28e60e601ef61c56c9ac1c73a95a3a6d18",
    "foil-it": "6f6f0d7494271ed28f6e6f075c3ba36ba1bc45d00ecf7403920f060915130460",
    "plurals": "43760db7fc8c6f2a21d3536d52f81539cb101f3370e8d2effb09de43d91486a3",
    "relations": "061fc557459c318ccd6734d07c21cfa5bf5ae87aa6b1110b8f5ec3d6b2911043",
}
_SUGARCREPE_HASHES: Final[Mapping[str, str]] = {
    "add_att": "012d88d729693d193760e6f3393b06a1cf874380a9db0062e937201199fe044d",
    "add_obj": "1b9d76b93139a937b8dc1ada92a4f05ecc821bb3c291d752428bafadd4bb0682",
    "replace_att": "9fe55fd4c0a9ad1f85d486d9f6d0215b41f867eb025026e7f7b5ce44352545ee",
    "replace_obj": "9d299600639947e9d15281a9ded1382b376cf4ea088a8d08a1314bfe76e81898",
    "replace_rel": "356bcc2fc4c6aed3f4d9fd50acc58489bb1fe70c28791f9368d4cbf9ea39cdc9",
    "swap_att": "7a7ce04e5c4c80412b48c6f0c1347fb1a2f5d54c0be6aa429b64d390e442f8d0",
    "swap_obj": "073cdb8e253d053614e80710834d9773b09dbc1dd0a412f6f9492262caa1dcad",
}
_CONTEXT_HASH: Final = "306b251e05ab987b624a09c7c8fb4a4a64705b925ab522e1efd9da79abbca93c"


def _coco(split: str, pattern: str = "") -> ImageSource:
    return ImageSource(pattern=pattern, bases=(f"{_COCO}/{split}/",), licence=_COCO_LICENCE)


def _negrefcocog(name: str) -> BenchmarkSource:
    file = AnnotationFile(name=negrefcocog.ANNOTATIONS, urls=(_NEGATIONCLIP,), sha256=negrefcocog.SHA256)
    return BenchmarkSource(
        files=(file,), licence="MIT", images=(_coco("train2014"),), mirrored_folder=negrefcocog.PICTURES
    )


_VALSE_IMAGES: Final = (
    _coco("train2014", r"^COCO_train2014_"),
    _coco("val2014", r"^COCO_val2014_"),
    _coco("val2017", r"^\d{12}\.jpg$"),
    ImageSource(pattern=r"^v7w_", by_hand="visual7w_images.zip from ai.stanford.edu/~yukez/visual7w"),
    ImageSource(pattern=r"^VisualDialog_val2018_", by_hand="the val2018 images from visualdialog.org (VisDial v1.0)"),
    ImageSource(by_hand="images_512.zip from github.com/allenai/swig (SWiG)"),
)


def _valse(name: str) -> BenchmarkSource:
    phenomenon = name.removeprefix("valse-")
    file = AnnotationFile(
        name=f"{phenomenon}.json", urls=(f"{_VALSE}/{phenomenon}.json",), sha256=_VALSE_HASHES[phenomenon]
    )
    return BenchmarkSource(files=(file,), licence="MIT", images=_VALSE_IMAGES, mirrored_folder=valse.IMAGES)


def _sugarcrepe(name: str) -> BenchmarkSource:
    part = name.removeprefix("sugarcrepe").removeprefix("-").replace("-", "_")
    files = tuple(
        AnnotationFile(name=f"{each}.json", urls=(f"{_SUGARCREPE}/{each}.json",), sha256=sha256)
        for each, sha256 in _SUGARCREPE_HASHES.items()
        if part in ("", each)
    )
    return BenchmarkSource(files=files, licence="MIT", images=(_coco("val2017"),), mirrored_folder=sugarcrepe.IMAGES)


def _contextnegbench(name: str) -> BenchmarkSource:
    file = AnnotationFile(
        name=contextnegbench.ANNOTATIONS, urls=(f"{_CONTEXT}/{contextnegbench.ANNOTATIONS}",), sha256=_CONTEXT_HASH
    )
    return BenchmarkSource(files=(file,), licence="CC0", images=(ImageSource(bases=(f"{_CONTEXT}/",), licence="CC0"),))


_NEGBENCH_IMAGES: Final[Mapping[str, ImageSource]] = {
    "val2017": _coco("val2017"),
    "voc2007": ImageSource(by_hand="VOCtrainval_06-Nov-2007.tar and VOCtest_06-Nov-2007.tar from "
        "host.robots.ox.ac.uk/pascal/VOC/voc2007 (Flickr terms), all of JPEGImages/ in one folder"),
    "synthetic": ImageSource(by_hand="the synthetic images that github.com/m1k2zoo/negbench links"),
}  # fmt: skip


def _negbench(name: str) -> BenchmarkSource:
    if name in negbench.MCQ_FILES:
        file, folder = negbench.MCQ_FILES[name].file, negbench.MCQ_FILES[name].images
    else:
        retrieval = negbench.RETRIEVAL_FILES[name.rpartition("-")[0]]
        file, folder = retrieval.file, retrieval.folder
    by_hand = "the Google Drive folder that github.com/m1k2zoo/negbench links"
    return BenchmarkSource(
        files=(AnnotationFile(name=file, by_hand=by_hand),),
        licence="MIT",
        images=(_NEGBENCH_IMAGES[folder],),
        mirrored_folder=folder,
    )


def _karpathy(name: str) -> BenchmarkSource:
    data_set = name.rpartition("-")[0]
    file = AnnotationFile(
        name=coco_flickr.FILES[data_set].file, urls=(_KARPATHY,), zipped=True, most_bytes=_KARPATHY_BYTES
    )
    flickr = ImageSource(
        by_hand="flickr30k-images after registration at shannon.cs.illinois.edu/DenotationGraph (research only)"
    )
    whole = ImageSource(bases=(f"{_COCO}/",), licence=_COCO_LICENCE)
    return BenchmarkSource(
        files=(file,),
        licence="COCO captions CC BY 4.0; Flickr30k for research only",
        images=(whole if data_set == "coco" else flickr,),
    )


def _ccneg(name: str) -> BenchmarkSource:
    file = AnnotationFile(
        name=ccneg.ANNOTATIONS, by_hand="the Proton Drive that github.com/jaisidhsingh/CoN-CLIP links"
    )
    images = ImageSource(by_hand="Conceptual Captions (CC3M) by img2dataset; its images are at 228,246 addresses")
    return BenchmarkSource(
        files=(file,),
        licence="as github.com/jaisidhsingh/CoN-CLIP states",
        images=(images,),
        mirrored_folder=ccneg.IMAGES,
    )


def _aro(name: str) -> BenchmarkSource:
    where = (
        "the Google Drive file that dataset_zoo/aro_datasets.py of github.com/mertyg/vision-language-models-are-bows"
    )
    return BenchmarkSource(
        files=(AnnotationFile(name=aro.FILES[name].file, by_hand=f"{where} names"),),
        licence="MIT",
        images=(ImageSource(by_hand=f"vgr_vga_images.zip, {where} names (Visual Genome, CC BY 4.0)"),),
        mirrored_folder=aro.IMAGES,
    )


_SOURCES: Final[Mapping[str, Callable[[str], BenchmarkSource]]] = {
    "negrefcocog": _negrefcocog,
    "valse": _valse,
    "sugarcrepe": _sugarcrepe,
    "contextnegbench-lite": _contextnegbench,
    "negbench": _negbench,
    "coco": _karpathy,
    "flickr30k": _karpathy,
    "ccneg": _ccneg,
    "aro": _aro,
}
"""By the folder of the benchmark."""


def source_of(name: str, folder: str) -> BenchmarkSource | None:
    """Return the source of a registered task; None: all its files are put there by hand, as its loader says.

    Args:
        folder: Name of the folder of its benchmark.
    """
    known = _SOURCES.get(folder)
    return known(name) if known else None
