"""`hqmd evaluate --resume`: a run that was stopped goes on with the figures that it had, and with no others."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from hqmd_cli.data import open_dataset
from hqmd_cli.data.sample import Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.evaluate import score_each
from hqmd_cli.evaluation.prediction_source import model_source
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.evaluation.resume import ScoreLog, checksum

HQMD = find_protocol("hqmd")
QUESTION = {"protocol": HQMD.digest, "data": "val"}


@pytest.fixture
def data(pairs):
    return open_dataset(pairs, "val")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "figures.jsonl"


class Model:
    """Depth that follows the photo's red; remembers how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, image):
        self.calls += 1
        return 1 + image[..., 0].astype(np.float32) / 100 + np.linspace(0, 0.1, image.shape[1], dtype=np.float32)


def scores(model, data, path=None, **also):
    log = ScoreLog(path, QUESTION) if path else None
    return list(score_each(model_source(model), data, HQMD, log=log, **also))


def test_what_was_scored_is_not_predicted_again_and_says_the_same(data, path):
    whole = scores(Model(), data, detail=True, by_depth=True)
    begun = score_each(model_source(Model()), data, HQMD, True, True, ScoreLog(path, QUESTION))
    next(begun)
    begun.close()
    model = Model()
    resumed = scores(model, data, path, detail=True, by_depth=True)
    assert model.calls == len(data) - 1
    for one, other in zip(whole, resumed, strict=True):
        assert (one.name, one.pixels) == (other.name, other.pixels)
        assert one.figures == pytest.approx(other.figures, abs=0, nan_ok=True)
        np.testing.assert_array_equal(one.by_depth, other.by_depth)


def test_a_line_that_was_torn_off_does_not_count(data, path):
    scores(Model(), data, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    model = Model()
    scores(model, data, path)
    assert model.calls == 1 and path.read_bytes() == whole


def test_another_question_and_another_file_are_refused(data, path):
    scores(Model(), data, path)
    with pytest.raises(HqmdError, match="begun with another data"):
        ScoreLog(path, QUESTION | {"data": "test"})
    path.write_text("a note\n")
    with pytest.raises(HqmdError, match="not a file that --resume wrote"):
        ScoreLog(path, QUESTION)


def test_a_truth_that_has_changed_is_noticed(data, path):
    scores(Model(), data, path)
    log, sample = ScoreLog(path, QUESTION), data[0]
    sample.depth_m[0, 0] += 0.001
    with pytest.raises(HqmdError, match="has changed since"):
        log.known(sample)


def test_the_command_goes_on(hqmd, trained_run, pairs, path):
    flags = ("evaluate", "--model", trained_run / "best", "--data", pairs, "--split", "val", "--json")
    plain = hqmd(*flags).stdout
    first = hqmd(*flags, "--resume", path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    second = hqmd(*flags, "--resume", path)
    assert plain == first.stdout == second.stdout and path.read_bytes() == b"".join(lines)
    assert f"{len(lines) - 2} of {len(lines) - 1} pictures are scored already" in second.stderr
    refused = hqmd(*flags, "--resume", path, "--side", 64)
    assert refused.returncode == 1 and "begun with another model or predictions" in refused.stderr


def test_the_file_is_plain_json_lines(data, path):
    scores(Model(), data, path, detail=True)
    question, *rows = map(json.loads, path.read_text().splitlines())
    assert question == QUESTION
    assert rows[0]["figures"]["normalMean"] is None  # no NaN, which is no JSON


def test_drawn_edges_are_part_of_a_pictures_checksum():
    plain = Sample("a", np.zeros((2, 3, 3), np.uint8), np.ones((2, 3), np.float32), np.ones((2, 3), bool))
    drawn = [replace(plain, edges=np.full((2, 3), value)) for value in (False, True)]
    assert len({checksum(sample) for sample in (plain, *drawn)}) == 3


def spoiled(line: int, **changes):
    """Change a line of a file of figures; None takes a part away."""

    def damage(lines: list[str]) -> None:
        row = {**json.loads(lines[line]), **changes}
        lines[line] = json.dumps({name: value for name, value in row.items() if value is not None})

    return damage


def replaced(line: int, text: str):
    return lambda lines: lines.__setitem__(line, text)


def with_figure(value):
    def damage(lines: list[str]) -> None:
        row = json.loads(lines[1])
        row["figures"]["RMSE"] = value
        lines[1] = json.dumps(row)

    return damage


DAMAGE = {
    **{f"settings {text[:5]}": replaced(0, text) for text in ("[]", "5", "null", "[" * 100_000)},
    **{f"row {text[:5]}": replaced(1, text) for text in ("[]", "5", '{"name": "a"}', "[" * 100_000)},
    **{f"no {name}": spoiled(1, **{name: None}) for name in ("name", "checksum", "pixels", "figures", "by_depth")},
    "figures": spoiled(1, figures=[]),
    "fewer figures": spoiled(1, figures={"RMSE": 0.5}),
    "pixels": spoiled(1, pixels="x"),
    "no pixels": spoiled(1, pixels=0),
    "by depth text": spoiled(1, by_depth=""),
    "by depth list": spoiled(1, by_depth=[[1, 2]]),
    "infinite": with_figure(math.inf),
    "text": with_figure("0.5"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_rows_of_another_kind_are_refused(data, path, damage):
    scores(Model(), data, path, by_depth=True)
    lines = path.read_text().splitlines()
    damage(lines)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(HqmdError, match="not a file that --resume wrote; name another") as refusal:
        ScoreLog(path, QUESTION)
    assert str(refusal.value).startswith(f"{path}: ") and len(str(refusal.value)) < 300
