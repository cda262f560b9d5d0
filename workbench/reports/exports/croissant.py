"""Croissant 1.1 metadata (JSON-LD) of a frozen export, with the Responsible-AI fields that its record proves.

Format: docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html and croissant-rai-spec.html. A field about something
that the record does not contain (demographics, social impact, maintenance) is left out. Files are named relative to the
folder of the metadata file, so that it can be published beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from curation_db.exporting.manifest import ITEMS_FILE, MANIFEST_FILE, FileFacts
from curation_db.language.sanitize import clean
from workbench.reports.exports import statements

if TYPE_CHECKING:
    from workbench.reports.exports.summary import ExportSummary

CONFORMS_TO: Final = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The standard context of Croissant 1.1."""

_FORMATS: Final = {".jsonl": "application/jsonlines", ".json": "application/json"}
_FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "key": ("sc:Text", "Key of the pair, unique in its source."),
    "source": ("sc:Text", "Corpus of the image."),
    "image_key": ("sc:Text", "Key of the image in its source."),
    "file_name": ("sc:Text", "Path of the image below a folder of the source; null if it is not known."),
    "image_sha256": ("sc:Text", "SHA-256 of the image file; null if it was not read."),
    "caption_key": ("sc:Text", "Key of the original caption."),
    "caption": ("sc:Text", "The original caption; null if it is not known."),
    "text": ("sc:Text", "The negated caption."),
    "concept": ("sc:Text", "The negated concept."),
    "negation_type": ("sc:Text", "Kind of what is negated: absence, action, attribute, relation or other."),
    "cue": ("sc:Text", "The negation cue in the text."),
    "cue_position": ("sc:Text", "Position of the cue in the text."),
    "pipeline": ("sc:Text", "How the text came into the record: a generating pipeline, an import or an edit."),
    "generator": ("sc:Text", "What proposed the text."),
    "prompt_version": ("sc:Text", "Version of the prompt that proposed the text."),
    "tokens": ("sc:Integer", "Number of tokens of the text."),
    "edited": ("sc:Text", "Key of the pair that this one replaced by an edit."),
    "state": ("sc:Text", "State of the pair at the event of the export."),
    "accepts": ("sc:Integer", "Number of accepts in force."),
    "rejects": ("sc:Integer", "Number of rejects in force."),
    "deciders": ("sc:Text", "Annotators or policies whose decisions determine the state."),
    "reasons": ("sc:Text", "Reasons of the rejects."),
    "stream": ("sc:Text", "audit if an annotator decided it in the blind audit, else review."),
    "url": ("sc:Text", "Address of an image without a file name."),
}
"""Fields of `manifest.ExportItem`: data type and description. `triplet` and `votes` have objects, so they are no fields
here."""
_LISTS: Final = frozenset({"deciders", "reasons"})
_HASH_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class GuidelinesText:
    """The guidelines of the annotators at the time of writing the metadata."""

    text: str
    own: bool
    """Whether the workspace has a guidelines.md of its own."""


def croissant(
    summary: ExportSummary, manifest_facts: FileFacts, guidelines: GuidelinesText, *, url: str | None = None
) -> dict[str, Any]:
    """Return the metadata as a JSON-LD object.

    Args:
        manifest_facts: Hash and size of manifest.json.
        url: Address at which the folder is published; None: the record does not know it.
    """
    manifest = summary.manifest
    version = f"{manifest.event_seq}.0.0+{manifest.export_sha256[:_HASH_SHOWN]}"
    files = {MANIFEST_FILE: manifest_facts, **manifest.files}
    metadata = {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "name": manifest.name,
        "description": f"{statements.content(summary)} {statements.selection(summary)}",
        "conformsTo": list(CONFORMS_TO),
        "version": version,
        "license": _licenses(summary),
        "url": url,
        "dateCreated": (summary.last_event_at or "")[:10],
        "citeAs": _citation(summary, url),
        "isLiveDataset": False,
        "keywords": ["negation", "image captions", "vision-language"],
        "distribution": [_file_object(name, facts, url) for name, facts in sorted(files.items())],
        "recordSet": [_record_set(summary)],
        **responsible_ai(summary, guidelines),
    }
    return {name: value for name, value in metadata.items() if value not in (None, "", [])}


def responsible_ai(summary: ExportSummary, guidelines: GuidelinesText) -> dict[str, Any]:
    """Return the rai: fields; those without a statement are "" or empty."""
    start, end = summary.first_event_at, summary.last_event_at
    return {
        "rai:dataCollection": " ".join([statements.selection(summary), *statements.generators(summary)]),
        "rai:dataCollectionType": [
            "Secondary Data analysis",
            *(["Manual Human Curator"] if summary.annotators else []),
        ],
        "rai:dataCollectionRawData": statements.shares(
            "Pairs by source of the images", summary.manifest.counts.by_source, summary.manifest.counts.pairs
        ),
        "rai:dataCollectionTimeframe": f"{start}/{end}" if start and end else "",
        "rai:dataAnnotationProtocol": _protocol(guidelines),
        "rai:dataAnnotationPlatform": [f"negwb {summary.manifest.tool_version}"] if summary.annotators else [],
        "rai:dataAnnotationAnalysis": [
            sentence
            for sentence in (
                statements.annotation(summary),
                statements.agreement(summary),
                statements.audit(summary),
                *(
                    f"{each.name}: {each.accepts:,} accept, {each.rejects:,} reject, {each.unsures:,} unsure."
                    for each in summary.annotators
                ),
            )
            if sentence
        ],
        "rai:annotationsPerItem": statements.votes_per_pair(summary),
        "rai:machineAnnotationTools": [
            *statements.generators(summary),
            *(statements.judge(each) for each in summary.judges),
            *statements.policies(summary),
        ],
        "rai:dataBiases": statements.biases(summary),
        "rai:dataLimitations": statements.limitations(summary),
        "rai:dataUseCases": _use_cases(summary),
        "rai:personalSensitiveInformation": [_personal(summary)],
    }


def _protocol(guidelines: GuidelinesText) -> str:
    digest = hashlib.sha256(guidelines.text.encode()).hexdigest()[:_HASH_SHOWN]
    owner = "guidelines.md of the workspace" if guidelines.own else "the default guidelines of negwb"
    return f"Guidelines at the time of this file ({owner}, sha256 {digest}):\n\n{clean(guidelines.text).strip()}"


def _use_cases(summary: ExportSummary) -> list[str]:
    if summary.manifest.selection.get("states") == ["accepted"]:
        return ["Training and fine-tuning of image-text models on negated captions."]
    return ["Analysis of decisions: the pairs are not all accepted, see the field state."]


def _personal(summary: ExportSummary) -> str:
    found = (
        "the names of annotators, in the field deciders" if summary.items_name_annotators else "no name of an annotator"
    )
    return f"{ITEMS_FILE} contains {found}. The images and captions were not checked for personal information."


def _licenses(summary: ExportSummary) -> list[str]:
    """Return the licenses of the images as addresses or names, as their sources state them."""
    entries = [entry for entry in summary.licenses if isinstance(entry, dict)]
    values = [entry.get("url") or entry.get("name") for entry in entries]
    return list(dict.fromkeys(clean(value) for value in values if isinstance(value, str) and value.strip()))


def _citation(summary: ExportSummary, url: str | None) -> str:
    manifest = summary.manifest
    note = f"negwb {manifest.tool_version}, event {manifest.event_seq}, export_sha256 {manifest.export_sha256}"
    where = f", url = {{{url}}}" if url else ""
    return f"@misc{{{manifest.name}, title = {{{manifest.name}}}, note = {{{note}}}{where}}}"


def _file_object(name: str, facts: FileFacts, url: str | None) -> dict[str, Any]:
    suffix = name[name.rfind(".") :] if "." in name else ""
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": f"{url.rstrip('/')}/{quote(name)}" if url else name,
        "contentSize": f"{facts.bytes} B",
        "encodingFormat": _FORMATS.get(suffix, "application/octet-stream"),
        "sha256": facts.sha256,
    }


def _record_set(summary: ExportSummary) -> dict[str, Any]:
    fields = [name for name in _FIELDS if name != "url" or name in summary.optional_fields]
    return {
        "@type": "cr:RecordSet",
        "@id": "pairs",
        "name": "pairs",
        "description": f"The pairs of the export, one per line of {ITEMS_FILE}.",
        "key": [{"@id": "pairs/source"}, {"@id": "pairs/key"}],
        "field": [_field(name, *_FIELDS[name]) for name in fields],
    }


def _field(name: str, data_type: str, description: str) -> dict[str, Any]:
    several = {"isArray": True, "arrayShape": "-1"} if name in _LISTS else {}
    return {
        "@type": "cr:Field",
        "@id": f"pairs/{name}",
        "name": name,
        "description": description,
        "dataType": data_type,
        **several,
        "source": {"fileObject": {"@id": ITEMS_FILE}, "extract": {"column": name}},
    }
