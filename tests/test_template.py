"""The masters and what is made from them: the solved notebooks and the students' folder."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from grader import template
from grader.errors import AssignmentError

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "reference"
PART1, PART2 = "Assignment2-1_Transformer_from_scratch.ipynb", "Assignment2-2_Vit.ipynb"
BOTH = pytest.mark.parametrize("name", [PART1, PART2])
ZONES = {  # how a zone opens and closes
    PART1: ("######################### TO DO #########################",) * 2,
    PART2: ("#            IMPLEMENT YOUR CODE             #", "#               END YOUR CODE                #"),
}

CONFIG = """\
id = "one"
title = "One"
classes = {}
criteria = {}
tolerance = { rtol = 1e-4, atol = 1e-5 }

[files.one]
kind = "notebook"
title = "the notebook"
master = "one.ipynb"
patterns = ["one.ipynb"]
"""
CODE = """\
def area(r):
    # BEGIN SOLUTION
    return 3 * r * r
    # STUB
    # # Your code.
    #
    # pass
    # END SOLUTION
"""


def code(source: str, **metadata: object) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="a", metadata=metadata)])


def markdown(source: str) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source, id="a")])


def master(name: str) -> NotebookNode:
    return template.read_master(REFERENCE / "notebooks" / name)


# Markers.


def test_the_solved_notebook_has_the_solution_and_neither_markers_nor_stub() -> None:
    assert template.solved(code(CODE)).cells[0].source == "def area(r):\n    return 3 * r * r\n"


def test_the_stubbed_notebook_has_the_stub_without_its_comment_signs() -> None:
    assert template.stubbed(code(CODE)).cells[0].source == "def area(r):\n    # Your code.\n\n    pass\n"


def test_a_solution_without_a_stub_leaves_one_empty_line() -> None:
    made = template.stubbed(code("a = 1\n# BEGIN SOLUTION\nb = 2\nc = 3\n# END SOLUTION\nd = 4"))
    assert made.cells[0].source == "a = 1\n\nd = 4"


def test_an_empty_stub_section_leaves_one_empty_line() -> None:
    made = template.stubbed(code("# BEGIN SOLUTION\nb = 2\n# STUB\n# END SOLUTION\nd = 4"))
    assert made.cells[0].source == "\nd = 4"


def test_two_solutions_in_a_cell_are_independent() -> None:
    source = "# BEGIN SOLUTION\na = 1\n# END SOLUTION\nmiddle\n# BEGIN SOLUTION\nb = 2\n# STUB\n# b = 0\n# END SOLUTION"
    assert template.solved(code(source)).cells[0].source == "a = 1\nmiddle\nb = 2"
    assert template.stubbed(code(source)).cells[0].source == "\nmiddle\nb = 0"


def test_markdown_is_marked_with_comments() -> None:
    source = (
        "# Results\n<!-- BEGIN SOLUTION -->\n| 91% |\n<!-- STUB -->\n<!-- |  | -->\n<!-- -->\n<!-- END SOLUTION -->"
    )
    assert template.solved(markdown(source)).cells[0].source == "# Results\n| 91% |"
    assert template.stubbed(markdown(source)).cells[0].source == "# Results\n|  |\n"


def test_a_cell_tagged_solution_exists_in_the_solved_notebook_alone() -> None:
    notebook = code("secret = 1", tags=["solution"])
    assert template.stubbed(notebook).cells == []
    assert template.solved(notebook).cells[0].source == "secret = 1"
    assert "tags" not in template.solved(notebook).cells[0].metadata


def test_other_tags_stay() -> None:
    assert template.solved(code("a", tags=["solution", "slow"])).cells[0].metadata["tags"] == ["slow"]
    assert template.stubbed(code("a", tags=["slow"])).cells[0].metadata["tags"] == ["slow"]


@pytest.mark.parametrize("face", [template.solved, template.stubbed])
def test_outputs_are_cleared_and_the_master_is_left_alone(face: object) -> None:
    notebook = code(CODE)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="28.27")]
    notebook.cells[0].execution_count = 7
    assert callable(face)
    made = face(notebook)
    assert made.cells[0].outputs == []
    assert made.cells[0].execution_count is None
    assert notebook.cells[0].source == CODE
    assert notebook.cells[0].execution_count == 7


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        ("a\n# BEGIN SOLUTION\nb", 2, "without END SOLUTION"),
        ("a\n# END SOLUTION", 2, "without a BEGIN SOLUTION"),
        ("# STUB\n# a", 1, "without a BEGIN SOLUTION"),
        ("# BEGIN SOLUTION\n# BEGIN SOLUTION\n# END SOLUTION", 2, "inside the solution that line 1 begins"),
        ("# BEGIN SOLUTION\n# STUB\n# a\n# STUB\n# END SOLUTION", 4, "second STUB"),
        ("# BEGIN SOLUTION\n    # END SOLUTION", 2, "not indented like"),
        ("# BEGIN SOLUTION\n# STUB\nbare = 1\n# END SOLUTION", 3, "not commented out"),
        ("    # BEGIN SOLUTION\n    # STUB\n# a\n    # END SOLUTION", 3, "not commented out"),
        ("#BEGIN SOLUTION\na\n#END SOLUTION", 1, "looks like a marker"),
        ("# Begin Solution\na\n# END SOLUTION", 1, "looks like a marker"),
        ("# BEGIN SOLUTION:\na\n# END SOLUTION", 1, "looks like a marker"),
        ("# BEGIN SOLUTION\na\n# stub\n# b\n# END SOLUTION", 3, "looks like a marker"),
        ("<!-- BEGIN SOLUTION -->\na\n<!-- END SOLUTION -->", 1, "looks like a marker"),
    ],
)
@pytest.mark.parametrize("face", [template.solved, template.stubbed])
def test_a_malformed_marker_is_refused_with_its_place(face: object, source: str, line: int, why: str) -> None:
    assert callable(face)
    with pytest.raises(AssignmentError, match=why) as caught:
        face(code(source), "part.ipynb")
    assert str(caught.value).startswith(f"part.ipynb, cell 1, line {line}: ")


def test_markers_are_checked_in_a_cell_that_students_never_see() -> None:
    with pytest.raises(AssignmentError):
        template.stubbed(code("# BEGIN SOLUTION", tags=["solution"]))


# The students' folder.


@pytest.fixture
def assignment(tmp_path: Path) -> Path:
    folder = tmp_path / "course" / "reference"
    (folder / "notebooks" / "imgs").mkdir(parents=True)
    (folder / "notebooks" / "one.ipynb").write_text(nbformat.writes(code(CODE)), encoding="utf-8")
    (folder / "notebooks" / "imgs" / "road.png").write_bytes(b"\x89PNG")
    (folder.parent / "CollectSubmission.sh").write_text("#!/bin/sh\n# BEGIN FILES\n# END FILES\n")
    (folder / "assignment.toml").write_text(CONFIG)
    return folder


def test_the_template_holds_notebooks_figures_and_the_script(assignment: Path, tmp_path: Path) -> None:
    written = template.write_template(assignment, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == [
        "CollectSubmission.sh",
        "imgs/road.png",
        "one.ipynb",
    ]
    assert os.access(tmp_path / "out" / "CollectSubmission.sh", os.X_OK)


def test_a_template_just_written_is_fresh_and_its_bytes_do_not_change(assignment: Path, tmp_path: Path) -> None:
    first = {path: path.read_bytes() for path in template.write_template(assignment, tmp_path / "out")}
    assert template.stale(assignment, tmp_path / "out") == []
    again = {path: path.read_bytes() for path in template.write_template(assignment, tmp_path / "out")}
    assert first == again


def test_missing_extra_and_changed_files_are_named(assignment: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    template.write_template(assignment, out)
    (out / "imgs" / "road.png").unlink()
    (out / "notes.txt").write_text("mine")
    (out / "one.ipynb").write_text("{}")
    (out / "CollectSubmission.sh").chmod(0o644)
    assert template.stale(assignment, out) == [
        "changed: one.ipynb",
        "extra: notes.txt",
        "missing: imgs/road.png",
        "not executable: CollectSubmission.sh",
    ]


def test_a_change_of_the_solution_alone_leaves_the_template_fresh(assignment: Path, tmp_path: Path) -> None:
    template.write_template(assignment, tmp_path / "out")
    path = assignment / "notebooks" / "one.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("3 * r", "3.14 * r"), encoding="utf-8")
    assert template.stale(assignment, tmp_path / "out") == []


def test_a_change_of_given_code_makes_the_template_stale(assignment: Path, tmp_path: Path) -> None:
    template.write_template(assignment, tmp_path / "out")
    path = assignment / "notebooks" / "one.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("def area", "def surface"), encoding="utf-8")
    assert template.stale(assignment, tmp_path / "out") == ["changed: one.ipynb"]


def test_a_folder_that_is_not_there_is_stale_in_every_file(assignment: Path, tmp_path: Path) -> None:
    assert len(template.stale(assignment, tmp_path / "nowhere")) == 3


def test_writing_leaves_other_files_alone(assignment: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    template.write_template(assignment, tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_a_write_that_fails_leaves_the_old_file_whole(
    assignment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    template.write_template(assignment, out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        template.write_template(assignment, out)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_a_malformed_master_writes_nothing(assignment: Path, tmp_path: Path) -> None:
    (assignment / "notebooks" / "two.ipynb").write_text(nbformat.writes(code("# END SOLUTION")), encoding="utf-8")
    with pytest.raises(AssignmentError, match=r"two\.ipynb, cell 1, line 1"):
        template.write_template(assignment, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", '{"cells": 3}', '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}']
)
def test_a_master_that_is_no_notebook_is_named(assignment: Path, tmp_path: Path, text: str) -> None:
    (assignment / "notebooks" / "one.ipynb").write_text(text)
    with pytest.raises(AssignmentError, match=r"one\.ipynb is not a valid notebook"):
        template.write_template(assignment, tmp_path / "out")


def test_a_figure_that_is_shown_and_not_there_is_named(assignment: Path, tmp_path: Path) -> None:
    shown = nbformat.writes(markdown("![the sea](imgs/sea.png)"))
    (assignment / "notebooks" / "two.ipynb").write_text(shown, encoding="utf-8")
    with pytest.raises(AssignmentError, match=r"imgs/sea\.png"):
        template.write_template(assignment, tmp_path / "out")


def test_the_collect_script_asks_for_the_assignments_own_files(assignment: Path, tmp_path: Path) -> None:
    template.write_template(assignment, tmp_path / "out")
    script = (tmp_path / "out" / "CollectSubmission.sh").read_text()
    assert script == "#!/bin/sh\n# BEGIN FILES\nFILES='notebook|one*.ipynb|100|the notebook'\n# END FILES\n"


def test_a_collect_script_without_a_place_for_the_files_is_named(assignment: Path, tmp_path: Path) -> None:
    (assignment.parent / "CollectSubmission.sh").write_text("#!/bin/sh\n")
    with pytest.raises(AssignmentError, match=r"CollectSubmission\.sh has no lines “# BEGIN FILES”"):
        template.write_template(assignment, tmp_path / "out")


# The masters of this assignment.


def solution_lines(source: str) -> Iterator[str]:
    """The lines between BEGIN SOLUTION and STUB or END SOLUTION, stripped, by a rule of this test's own."""
    inside = False
    for line in source.split("\n"):
        word = line.strip().strip("#<!-> ")
        if word in ("BEGIN SOLUTION", "STUB", "END SOLUTION"):
            inside = word == "BEGIN SOLUTION"
        elif inside and line.strip():
            yield line.strip()


def test_the_template_in_the_repository_is_fresh() -> None:
    assert template.stale(REFERENCE, ROOT / "student_template") == []


@BOTH
def test_the_template_holds_no_line_of_a_solution(name: str) -> None:
    stubs = {cell.id: cell.source for cell in template.stubbed(master(name)).cells}
    seen = 0
    for cell in master(name).cells:
        if "solution" in cell.metadata.get("tags", []):
            assert cell.id not in stubs
            continue
        for line in solution_lines(cell.source):
            seen += 1
            assert line not in [given.strip() for given in stubs[cell.id].split("\n")], cell.id
    assert seen > 20


@BOTH
def test_every_solution_in_code_stands_in_a_zone(name: str) -> None:
    opening, closing = ZONES[name]
    for cell in template.read_master(REFERENCE / "notebooks" / name).cells:
        zone = False
        for line in cell.source.split("\n") if cell.cell_type == "code" else []:
            if line.strip() in (opening, closing):
                zone = not zone
            if "BEGIN SOLUTION" in line or "END SOLUTION" in line:
                assert zone, f"{cell.id}: {line}"
        assert not zone, f"{cell.id}: a zone does not close"


@BOTH
def test_cell_ids_are_unique_and_no_output_is_stored(name: str) -> None:
    cells = master(name).cells
    assert len({cell.id for cell in cells}) == len(cells)
    assert not any(cell.get("outputs") for cell in cells)


@BOTH
@pytest.mark.parametrize("face", ["solved", "stubbed"])
def test_every_code_cell_parses(name: str, face: str) -> None:
    for cell in getattr(template, face)(master(name)).cells:
        if cell.cell_type == "code":
            ast.parse(cell.source, cell.id)


@BOTH
def test_both_faces_define_the_same_classes_with_the_same_signatures(name: str) -> None:
    def signatures(notebook: NotebookNode) -> list[tuple[str, str, str]]:
        trees = [ast.parse(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
        classes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
        methods = [(c.name, m) for c in classes for m in c.body if isinstance(m, ast.FunctionDef)]
        return [(owner, method.name, ast.unparse(method.args)) for owner, method in methods]

    assert signatures(template.solved(master(name))) == signatures(template.stubbed(master(name)))


def run(cells: list[str], tmp_path: Path) -> None:
    """Execute cells one after the other in a process and a folder of their own."""
    script = tmp_path / "cells.py"
    script.write_text(
        "import grader.torchvision_mend\nspace = {'__name__': '__main__'}\n"
        + "".join(f"exec(compile({cell!r}, 'cell', 'exec'), space)\n" for cell in cells),
        encoding="utf-8",
    )
    environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def has_zone(name: str, source: str) -> bool:
    return ZONES[name][0] in source


@BOTH
def test_the_template_runs_up_to_the_first_zone_and_defines_every_class(name: str, tmp_path: Path) -> None:
    sources = [cell.source for cell in template.stubbed(master(name)).cells if cell.cell_type == "code"]
    first = next(index for index, source in enumerate(sources) if has_zone(name, source))
    definitions = [s for s in sources[first:] if all(isinstance(node, ast.ClassDef) for node in ast.parse(s).body)]
    assert first >= 3
    assert len(definitions) >= 5
    run(sources[:first] + definitions, tmp_path)


PROBES = {
    PART1: """
X, Y = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
pe = PositionalEncoding(8, 9)
assert pe.PE.shape == (1, 9, 8) and 'PE' in dict(pe.named_buffers()) and not list(pe.parameters())
expected = [f(3 / 10 ** i) for i in range(4) for f in (math.sin, math.cos)]
assert torch.allclose(pe(torch.zeros(2, 5, 8))[1, 3], torch.tensor(expected), atol=1e-6)
attention = MultiHeadAttention(8, 2)
assert attention(X, Y, Y).shape == X.shape
assert attention.combine(attention.split(X)).equal(X)
keep = torch.tensor([True] * 4 + [False] * 3).view(1, 1, 1, 7)
assert torch.allclose(attention(X, Y, Y, keep), attention(X, Y[:, :4], Y[:, :4]), atol=1e-6)
assert EncoderLayer(8, 2, 16, 0.1)(X, None).shape == X.shape
assert DecoderLayer(8, 2, 16, 0.1)(X, Y, None, None).shape == X.shape
model = Transformer(11, 13, 8, 2, 2, 16, 10, 0.1)
src, tgt = torch.tensor([[3, 4, 0]]), torch.tensor([[5, 6, 7, 0]])
source_mask, target_mask = model.generate_mask(src, tgt)
assert source_mask.shape == (1, 1, 1, 3) and target_mask.shape == (1, 1, 4, 4)
assert source_mask.dtype == target_mask.dtype == torch.bool
assert target_mask[0, 0].tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
assert model(src, tgt).shape == (1, 4, 13)
""",
    PART2: """
assert PatchEmbed(img_size=8, patch_size=4, in_chans=2, embed_dim=6)(torch.randn(3, 2, 8, 8)).shape == (3, 4, 6)
assert Attention(8, num_heads=2)(torch.randn(3, 5, 8)).shape == (3, 5, 8)
assert Mlp(4, 6, 2)(torch.randn(3, 5, 4)).shape == (3, 5, 2)
assert Mlp(4)(torch.randn(3, 5, 4)).shape == (3, 5, 4)
assert Block(8, 2, mlp_ratio=1.5)(torch.randn(3, 5, 8)).shape == (3, 5, 8)
model = VisionTransformer(patch_size=14, embed_dim=8, depth=3, num_heads=2)
assert model(torch.randn(3, 1, 28, 28)).shape == (3, 10)
assert model.pos_embed.shape == (1, 5, 8) and isinstance(model.pos_embed, nn.Parameter)
names = {'.'.join('N' if part.isdigit() else part for part in name.split('.')[:-1]) for name in model.state_dict()}
parts = ['norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2']
assert names == {'', 'patch_embed.proj', 'norm', 'head', *('blocks.N.' + part for part in parts)}
""",
}


@BOTH
def test_the_solved_classes_run_on_tiny_inputs(name: str, tmp_path: Path) -> None:
    solved = [cell for cell in template.solved(master(name)).cells if cell.cell_type == "code"]
    classes = [c.source for c in solved if all(isinstance(node, ast.ClassDef) for node in ast.parse(c.source).body)]
    imports = next(cell.source for cell in solved if cell.id == "imports")
    run([imports, *classes, PROBES[name]], tmp_path)


def test_a_wrong_class_would_be_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ValueError"):
        run(["raise ValueError('seen')"], tmp_path)


@BOTH
def test_every_figure_that_is_shown_is_there_and_small(name: str) -> None:
    shown = re.findall(r"\(imgs/([^)]+)\)", "\n".join(cell.source for cell in master(name).cells))
    assert len(shown) >= 3
    for figure in shown:
        assert 0 < (REFERENCE / "notebooks" / "imgs" / figure).stat().st_size < 150_000
