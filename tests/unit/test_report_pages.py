"""Pages: what a clinician sees and does not see, escaped, readable in light and dark, and built by templates alone."""

import ast
import re
from itertools import pairwise

import numpy as np
import pytest
from jinja2 import UndefinedError
from msgspec import structs

from colours import contrast, palettes
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.errors import InputError
from heclstm.report.figure import LOWERS, RAISES
from heclstm.report.findings import Findings, Stage
from heclstm.report.page import page, technical_page
from heclstm.report.places import frames_of, line_of
from heclstm.report.rendering import render
from import_graph import MODULES, SOURCE, within
from tiny_program import PURPOSE

ROOMS = [
    SOURCE / "heclstm" / room
    for room in ("report/templates", "templates/shared", "page/templates", "service/templates")
]
SHARED = ROOMS[1]
TEMPLATES = {path.name: path for room in ROOMS for path in room.glob("*.html")}
DIAGNOSIS = Diagnosis((1.5,), ((-0.5,), (2.0,)), 0.25, "case <7>", 0.75, -1.5)
FINDINGS = Findings(
    DIAGNOSIS,
    structs.replace(PURPOSE, preparation=None),
    "ab" * 32,
    clear=structs.replace(DIAGNOSIS, scores=(1.25,)),
    margins={"blocks.0": 1.5, "lstm.<gates>": 0.5},
    stages=(Stage("encrypt", "hospital", 12.3, 123), Stage("decrypt", "hospital")),
    server_memory=10**10,
)
IMAGES = ImageSequence(np.random.default_rng(0).random((2, 1, 8, 8)).astype(np.float32))


def with_facts(**facts):
    return Findings(
        DIAGNOSIS, structs.replace(FINDINGS.purpose, model=structs.replace(PURPOSE.model, **facts)), "ab" * 32
    )


def text_of(html):
    """What a reader sees."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL))


# ── what stands on them ────────────────────────────────────────────────────────────────────────────────────


def test_the_decision_stands_once_and_nothing_technical_beside_it():
    shown = page(FINDINGS, IMAGES)
    text = text_of(shown)
    assert len(re.findall(r">\s*(?:positive|negative)\s*<", shown)) == shown.count('<strong class="badge') == 1
    for technical in ("blocks", "lstm", "encrypt ", "12.3 s", "GB", "Error", "In clear"):
        assert technical not in text
    for words in ("score +1.500", "operating point +0.250", "−0.500", "+2.000", "Frame 2", "not a medical device"):
        assert words in text
    negative = structs.replace(DIAGNOSIS, threshold=1.75)
    assert ">negative<" in page(Findings(negative, FINDINGS.purpose, "ab" * 32), IMAGES)


def test_technical_figures_have_a_page_of_their_own():
    text = text_of(technical_page(FINDINGS))
    for shown in ("blocks.0", "150 %", "12.3 s", "10 GB", "+1.500 +1.250 +2.5e−01", "lstm.&lt;gates&gt;"):
        assert shown in text
    assert technical_page(Findings(DIAGNOSIS, PURPOSE, "ab" * 32)) == ""


def test_whatever_others_wrote_is_escaped():
    found = with_facts(warnings=("few <b>positives</b>",), attribution='"><script>')
    shown = page(found, IMAGES, of_data_set=True)
    assert "<b>Warning:</b> few &lt;b&gt;positives&lt;/b&gt;" in shown
    assert "case &lt;7&gt;" in shown
    assert "<script" not in shown
    assert "Warning:" not in page(FINDINGS, IMAGES)


def test_a_page_needs_nothing_else():
    for shown in (page(FINDINGS, IMAGES), technical_page(FINDINGS)):
        assert not any(link in shown for link in ("http:", "https:", "<script", "url(", "@import"))
        assert re.findall(r'(?:src|href)="([^:"]*)', shown) in (["data"] * 2, [])


def test_padding_shows_neither_a_picture_nor_a_number():
    padded = structs.replace(DIAGNOSIS, scores=(-0.5,), contributions=((-0.5,), (0.0,)), frames=1)
    shown = page(Findings(padded, FINDINGS.purpose, "ab" * 32), IMAGES)
    assert shown.count("<img") == 1
    assert "Frame 2 padding" in text_of(shown)


def test_images_of_another_length_are_refused():
    with pytest.raises(InputError, match="got 3 frames, expected the 2 of the diagnosis"):
        page(FINDINGS, ImageSequence(np.zeros((3, 1, 8, 8), np.float32)))


# ── where it stands ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("values", [[-0.5, 2.0], [-1.0, -2.0], [0.0, 0.0], [1.0, 3.0], [1e300, -1e300]])
def test_bars_stand_on_their_axis_within_their_box(values):
    diagnosis = structs.replace(DIAGNOSIS, contributions=tuple((value,) for value in values))
    found = frames_of(Findings(diagnosis, PURPOSE, ""), [b"x"] * 2, 1)
    for tile, value in zip(found.tiles, values, strict=True):
        assert 0 <= tile.top <= tile.top + tile.height <= 100
        assert (tile.top + tile.height if value >= 0 else tile.top) == pytest.approx(found.zero, abs=0.02)
    largest = max(map(abs, values))
    heights = [tile.height / max(tile.height for tile in found.tiles) if largest else 0 for tile in found.tiles]
    assert heights == pytest.approx([abs(value) / largest if largest else 0 for value in values], abs=1e-3)


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (4, 1), (6, 1), (7, 2), (20, 4), (64, 4)])
def test_many_frames_stand_in_few_rows(count, rows):
    diagnosis = structs.replace(DIAGNOSIS, contributions=((0.1,),) * count)
    found = frames_of(Findings(diagnosis, PURPOSE, ""), [b"x"] * count, 3)
    assert found.rows == rows
    assert (found.rows - 1) * found.columns < count <= found.rows * found.columns
    assert found.tiles[0].slices == "slices 1–3"


@pytest.mark.parametrize("score", [-9.0, -1.0, 0.0, 5.0, 1e300])
@pytest.mark.parametrize("threshold", [-3.0, 0.25, 3.0])
@pytest.mark.parametrize("purpose", [PURPOSE, structs.replace(PURPOSE, ranges=())], ids=["calibrated", "not"])
def test_marks_stand_on_the_line(score, threshold, purpose):
    line = line_of(Findings(structs.replace(DIAGNOSIS, scores=(score,), threshold=threshold), purpose, ""))
    marks = (line.score, line.point, *line.sides, *line.ends)
    assert all(0 <= mark.place <= 100 for mark in marks)
    assert line.score.place == line.point.place or (line.score.place > line.point.place) == (score > threshold)
    assert all(mark.align in ("first", "middle", "last") for mark in marks)


# ── how it looks ───────────────────────────────────────────────────────────────────────────────────────────

# what is written → on what
WRITTEN = {
    "ink": ("ground", "paper", "panel", "raises-pale"),
    "muted": ("paper", "panel", "raises-pale"),
    "raises": ("paper", "raises-pale"),
    "lowers": ("paper", "lowers-pale"),
    "on-colour": ("raises", "lowers"),
}


def test_text_can_be_read_in_light_dark_and_print():
    found = palettes()
    assert len(found) == 3
    light, dark, printed = found
    assert light.keys() == dark.keys() == printed.keys()
    assert (light["raises"], light["lowers"]) == (RAISES, LOWERS)  # of drawings
    assert {name: light[name] for name in WRITTEN} == {name: printed[name] for name in WRITTEN}
    for colours in found:
        for text, grounds in WRITTEN.items():
            for ground in grounds:
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground, colours[text], colours[ground])


def test_the_disclaimer_is_no_small_print():
    style = (SHARED / "style.css").read_text()
    rule = re.search(r"^\.disclaimer \{(.*)\}", style, re.M)[1]
    assert "font-size" not in rule
    assert "color:" not in rule
    for shown in (page(FINDINGS, IMAGES), technical_page(FINDINGS)):
        assert shown.count('<p class="disclaimer">Research software, not a medical device; not for diagnosis.</p>') == 1


# ── how it is made ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError, match="subtitle"):
        render("evaluation.html", title="x")


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_templates_place_and_do_not_compute(name):
    text = TEMPLATES[name].read_text()
    words = {tag.split()[0] for tag in re.findall(r"{%-?\s*(.*?)\s*-?%}", text)}
    known = {"extends", "block", "include", "import", "macro", "for", "if", "elif", "else", "trans", "pluralize"}
    assert words <= known | {f"end{word}" for word in known}
    assert "|safe" not in text.replace(" ", "")
    for value in re.findall(r"{{\s*(.*?)\s*}}", text):
        call = r"(language|parts\.\w+|records\.\w+)\(.*\)|_\([\w.]+\)|languages\[code\]"
        plain = r"[\w.]+(\|(signed|seconds|size|percent|inlined|retold|retold_note))?|100 - line\.point\.place"
        assert re.fullmatch(f"{plain}|{call}", value), value


def test_no_page_is_built_of_strings():
    """HTML stands in templates, where everything is escaped."""
    for name in within(MODULES, "report", "usecases", "cli"):
        for node in ast.walk(ast.parse(MODULES[name].read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(
                    r"</?(p|div|span|table|t[dhr]|h[1-6]|img|b|html|body|style)\b[^<]*>", node.value
                ), name


def test_headings_go_down_one_step_at_a_time():
    levels = [int(level) for level in re.findall(r"<h(\d)", page(FINDINGS, IMAGES))]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
