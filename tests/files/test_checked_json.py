"""JSON and TOML of another kind than expected are refused with a ValueError, whatever Python's own readers do."""

import json
import os
from pathlib import Path

import pytest

from hqmd_cli.files.checked_json import DEEPEST, LENIENT, parse_json, read_json, read_toml

DEEP = "[" * 100_000
REFUSED = {
    DEEP: "nested more than",
    "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1): "nested more than",
    '{"a":' * 60 + "1" + "}" * 60: "nested more than",
    "NaN": "NaN is not a finite number",
    '{"a": [-Infinity]}': "-Infinity is not a finite number",
    "1e999": "1e999 is not a finite number",
    "1" * 400: "a number of 400 digits",
    "1" * 5000: "a number of 5000 digits",
    '{"a": 1': "Expecting",
    "": "Expecting value",
}


@pytest.mark.parametrize(("text", "why"), REFUSED.items(), ids=[text[:12] for text in REFUSED])
def test_what_no_program_of_ours_writes_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_json(text)


def test_values_of_every_kind_are_read_as_they_are() -> None:
    value = {"a": [1, -2, 0.5, None, True, "é"], "b": {"c": []}, "big": 2**63, "many": [[]] * 100}
    assert parse_json(json.dumps(value)) == value == parse_json(json.dumps(value).encode())
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)
    assert parse_json('{"loss": NaN}', dict, LENIENT)["loss"] != 0  # older histories have such rows


@pytest.mark.parametrize(
    ("text", "held"), {"[]": "a list", "5": "a whole number", "null": "null", '"a"': "text"}.items()
)
def test_another_kind_is_named(text: str, held: str) -> None:
    with pytest.raises(ValueError, match=f"holds {held} instead of an object"):
        parse_json(text, dict)


def test_files_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8-sig")
    (tmp_path / "a.toml").write_text("a = 1\n", encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json", dict) == read_toml(tmp_path / "a.toml") == {"a": 1}


@pytest.mark.unix
def test_a_pipe_and_a_device_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        for read in (read_json, read_toml):
            with pytest.raises(ValueError, match="a pipe or device, not a file"):
                read(path)


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(list(range(100))))
    with pytest.raises(ValueError, match="more than the 0 MB that are read"):
        read_json(tmp_path / "a.json", most_bytes=10)


@pytest.mark.parametrize(
    "text",
    ["a=" + "[" * 50_000, "a." * 60 + "a = 1", "a = nan", "a = [inf]", "a = 1e999", f"a = {'1' * 400}", "a = {" * 200],
    ids=lambda text: text[:10],
)
def test_toml_is_held_to_the_same(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ValueError):
        read_toml(tmp_path / "a.toml")
