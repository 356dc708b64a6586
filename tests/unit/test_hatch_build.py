"""What wheels are called: after the one processor that the engine was built for, whatever Python itself runs on."""

import pytest
from hatch_build import LIBRARY, platform_tag
from hatchling.builders.wheel import WheelBuilder

from heclstm.backend.cpu.library import PATH
from import_graph import ROOT, SOURCE


@pytest.mark.parametrize(
    ("python", "machine", "tag"),
    [
        ("linux-x86_64", "x86_64", "linux_x86_64"),
        ("linux-aarch64", "aarch64", "linux_aarch64"),
        ("win-amd64", "AMD64", "win_amd64"),
        ("macosx-13.0-x86_64", "x86_64", "macosx_13_0_x86_64"),
        ("macosx-11.0-arm64", "arm64", "macosx_11_0_arm64"),
        ("macosx-10.9-universal2", "arm64", "macosx_11_0_arm64"),
        ("macosx-10.13-universal2", "x86_64", "macosx_11_0_x86_64"),
        ("macosx-14.2-universal2", "arm64", "macosx_14_2_arm64"),
    ],
)
def test_the_tag_names_the_processor(python, machine, tag):
    assert platform_tag(python, machine) == tag


def test_the_library_is_built_where_it_is_looked_for():
    assert str(PATH).partition(".")[0].endswith(LIBRARY)


def test_templates_travel_in_the_wheel():
    files = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    kinds = ("html", "css", "js", "po")
    templates = {path.relative_to(SOURCE).as_posix() for kind in kinds for path in SOURCE.rglob(f"*.{kind}")}
    assert {"heclstm/report/templates/diagnosis.html", "heclstm/templates/shared/style.css"} <= templates <= files
