"""Prompt files are validated strictly and filled in one pass; the published prompts are verbatim."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.prompt_files import SMALLEST_FILE

from workbench.errors import UsageError
from workbench.generation.prompts.cue_mix import CUES, POSITIONS
from workbench.generation.prompts.loader import (
    FOLDER,
    fill,
    find_prompts,
    parse_prompts,
    prompt_set_names,
    workspace_sets,
)

CAPTION = "a dog {asleep} on a '{concept}' mat"


def verdicts(messages: object) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in messages]  # type: ignore[attr-defined]


def test_sets_of_a_workspace_are_found_by_name_and_file_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "own.toml").write_text(SMALLEST_FILE)
    assert workspace_sets(tmp_path) == ("own",)
    for name in ("own", "prompts/own.toml"):
        assert find_prompts(name, tmp_path).name == "mine"
        with pytest.raises(UsageError, match="unknown prompt set"):
            find_prompts(name)
    (tmp_path / "prompts" / "negwb-p1-1.toml").write_text(SMALLEST_FILE)
    assert find_prompts("negwb-p1-1", tmp_path).name == "negwb-p1-1"  # the included one
    with pytest.raises(UsageError) as caught:
        find_prompts("other", tmp_path)
    assert "own" in caught.value.hint


def test_the_published_prompts_are_verbatim():
    stages = find_prompts("negationclip-p1").stages
    propose, _ = stages["propose"].filled({"caption": CAPTION})
    assert verdicts(propose) == [
        ("system", "You are a helpful chatbot that answers with only one word."),
        (
            "user",
            "Name an object that is not mentioned in the caption, but is likely to be in the image corresponding to "
            f"the caption '{CAPTION}'.",
        ),
    ]
    assert verdicts(stages["propose-random"].filled({})[0])[-1] == ("user", "Name a random object.")
    _, raw = stages["presence"].filled({"concept": "Umbrella"})
    assert raw == (
        "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the human's questions. USER: <image>\nIs there Umbrella in this image? "
        "Answer only with 'yes' or 'no'. ASSISTANT:"
    )
    rewrite, _ = stages["rewrite"].filled({"concept": "hat", "caption": "C"})
    assert verdicts(rewrite) == [
        ("system", "You are a helpful chatbot that generates a concise caption."),
        ("user", "Add the absence of the hat to the caption 'a woman riding a horse in a field'."),
        ("assistant", "a woman not wearing a hat riding a horse in a field"),
        ("user", "Add the absence of the tree to the caption 'a child playing with a ball in the park'."),
        ("assistant", "a child playing with a ball in the park with no tree"),
        ("user", "Add the absence of the hat to the caption 'C'."),
    ]
    for name in ("propose", "propose-random", "rewrite"):
        sampling = stages[name].sampling
        assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.6, 0.9, 256)
    assert (stages["presence"].sampling.temperature, stages["presence"].sampling.max_tokens) == (0.0, 10)


def test_placeholders_are_filled_in_one_pass():
    assert fill("{caption} / {concept} / {}", {"caption": "{concept} {x} {0}", "concept": "hat"}) == (
        "{concept} {x} {0} / hat / {}"
    )


def test_a_concept_adds_no_second_image_to_the_raw_string():
    _, raw = find_prompts("negationclip-p1").stages["presence"].filled({"concept": "<image> hat"})
    assert raw is not None
    assert raw.count("<image>") == 1


@pytest.mark.parametrize("name", prompt_set_names())
def test_the_version_hashes_the_content_without_line_ends(name: str):
    text = (FOLDER / f"{name}.toml").read_text("utf-8")
    version = parse_prompts(text, name).version
    assert version == find_prompts(name).version == parse_prompts(text.replace("\n", "\r\n"), name).version
    assert version.startswith(f"{name}@")
    assert len(version.split("@")[1]) == 12
    assert parse_prompts(text + "# more\n", name).version != version


@pytest.mark.parametrize("name", ["negwb-p1-1", "negwb-p2-1"])
def test_our_prompts_have_a_phrase_for_every_cue_and_position(name: str):
    stage = find_prompts(name).stages["rewrite"]
    document = {
        stage.filled({"cue": cue, "position": position})[0][-1].text
        for cue in ("", *CUES)
        for position in ("", *POSITIONS)
    }
    assert len(document) == (len(CUES) + 1) * (len(POSITIONS) + 1)
    assert not any("_phrase" in text for text in document)


def test_a_prompt_file_is_found_by_its_path(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALLEST_FILE, encoding="utf-8")
    assert find_prompts(str(path)).name == "mine"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        find_prompts(str(path))
    with pytest.raises(UsageError, match="unknown prompt set 'none'"):
        find_prompts("none")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('pipeline = "P2"', 'pipeline = "P3"', "one of: P1, P2"),
        ('pipeline = "P2"', 'pipeline = "P1"', r"needs a stage \[propose\]"),
        ('name = "mine"', 'name = "My Set"', "small letters"),
        ('source = "me"', "source = 3", "source = 3: text"),
        ("[presence]", "[presense]", "no 'presense'|presense"),
        (
            'role = "user"\ntext = "{question}"',
            'role = "robot"\ntext = "{question}"',
            "role = 'robot': one of: system, user",
        ),
        ("{question}", "{color}", r"\[presence\] unknown placeholder \{color\}"),
        ("{caption} {question}", "{caption} {found}", r"\[rewrite\] unknown placeholder \{found\}"),
        ("{caption} {question}", "{cue_phrase}", r"\[rewrite\] \{cue_phrase\} needs a table \[rewrite.phrases.cue\]"),
        ("picture = true", "picture = false", r"\[presence\] this stage needs picture"),
        ("picture = true", 'picture = "yes"', r"picture = 'yes'"),
        ("[rewrite]\n", "[rewrite]\ntemperature = 9\n", r"\[rewrite\] temperature = 9"),
        ("[rewrite]\n", "[rewrite]\nmax_tokens = 2.5\n", "whole number"),
        ("[rewrite]\n", "[rewrite]\ntemperatur = 0\n", "temperatur"),
        ("[rewrite]\n", '[rewrite]\nraw = "<image>"\n', "raw: no <image>"),
        ("[rewrite]\n", '[rewrite.phrases.cue]\nno = "x"\n[rewrite]\n', "free is missing|cannot|declare"),
        ("[[rewrite.messages]]", "[[rewrite.massages]]", "massages"),
        ('name = "mine"', "name =", "mine.toml: "),
    ],
)
def test_an_invalid_prompt_file_gives_a_one_line_error_with_file_and_stage(old: str, new: str, message: str):
    assert old in SMALLEST_FILE
    with pytest.raises(UsageError, match=message) as caught:
        parse_prompts(SMALLEST_FILE.replace(old, new, 1), "mine.toml")
    assert caught.value.message.startswith("mine.toml: ")
    assert "\n" not in caught.value.message


def test_the_last_message_must_be_the_users():
    document = SMALLEST_FILE + '[[rewrite.messages]]\nrole = "assistant"\ntext = "ok"\n'
    with pytest.raises(UsageError, match="it must be user"):
        parse_prompts(document, "mine.toml")


@pytest.mark.parametrize(
    ("old", "new", "problem", "line"),
    [
        ("[presence]\n", "[presense]\n", "unknown key presense; did you mean presence?", 6),
        ("[rewrite]\n", "[rewrite]\n[rewrite.sampling]\ntemperature = 0\n", "[rewrite] unknown key sampling", 12),
        ("[rewrite]\n", "[rewrite]\nsampling.top_p = 1\n", "[rewrite] unknown key sampling", 12),
        ('name = "mine"', '[name]\ntext = "mine"', "name = {", 2),
        ("[presence]", "[[presence]]", "[presence] [{", 6),
        ("[rewrite]", "[presence.messages.more]\nx = 1\n[rewrite]", "[presence] unknown key messages[0].more", 11),
        (
            "[rewrite]\n",
            '[rewrite.phrases.cue.no]\nx = "y"\n[rewrite]\n',
            "[rewrite] phrases.cue.no = {'x': 'y'}: text in quotes",
            11,
        ),
        ("[rewrite]\n", '[rewrite]\nphrases.position.free = { x = "y" }\n', "[rewrite] phrases.position.free = {", 12),
        ("picture = true\n", "picture = true\ncolour = 1\n", "[presence] unknown key messages[0].colour", 11),
        ("{question}", "{color}", "[presence] unknown placeholder {color}", 9),
        ("{caption} {question}", "{caption} {found}", "[rewrite] unknown placeholder {found}", 14),
        ('text = "{question}"\n', "", "[presence] messages[0].text is missing", 7),
        ('name = "mine"\n', "", "name is missing", None),
    ],
)
def test_the_error_names_the_key_and_its_line(old: str, new: str, problem: str, line: int | None):
    assert old in SMALLEST_FILE
    with pytest.raises(UsageError) as caught:
        parse_prompts(SMALLEST_FILE.replace(old, new, 1), "mine.toml")
    message = caught.value.message
    assert message.startswith(f"mine.toml: {problem}")
    assert message.endswith(f" (line {line})") or (line is None and "(line" not in message)


def test_the_line_of_a_message_is_that_of_its_own_table():
    more = '[[rewrite.messages]]\nrole = "user"\ntext = "{color}"\n'
    with pytest.raises(UsageError, match=r"unknown placeholder \{color\}.* \(line 17\)$"):
        parse_prompts(SMALLEST_FILE + more, "mine.toml")


def test_a_stage_that_is_written_twice_is_named_with_its_line():
    with pytest.raises(UsageError, match=r"^mine.toml: Cannot declare \('presence',\) twice \(at line 15"):
        parse_prompts(SMALLEST_FILE + "[presence]\n", "mine.toml")


def test_brackets_that_are_nested_too_deeply_are_one_line():
    with pytest.raises(UsageError, match=r"^mine.toml: tables are nested too deeply$"):
        parse_prompts(f"x = {'[' * 5_000}", "mine.toml")


def test_a_byte_order_mark_and_line_ends_change_nothing(tmp_path: Path):
    plain, marked = tmp_path / "plain.toml", tmp_path / "marked.toml"
    plain.write_bytes(SMALLEST_FILE.encode())
    marked.write_bytes(b"\xef\xbb\xbf" + SMALLEST_FILE.replace("\n", "\r\n").encode())
    assert find_prompts(str(marked)) == find_prompts(str(plain))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SMALLEST_FILE.encode("utf-16"), "the encoding is UTF-16, not UTF-8"),
        (SMALLEST_FILE.encode("utf-32"), "the encoding is UTF-32, not UTF-8"),
        (SMALLEST_FILE.encode("utf-16-be"), "line 1 contains the character U+0000"),
        (SMALLEST_FILE.replace("me", "mé").encode("latin-1"), "not UTF-8: byte 0xe9 in line 2"),
    ],
)
def test_a_file_in_another_encoding_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        find_prompts(str(path))
    assert caught.value.message.startswith(f"{path}: {message}")
    assert "\n" not in caught.value.message
    assert caught.value.hint == "save the file as UTF-8"
