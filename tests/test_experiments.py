"""Experiments are recognised in the forms that students use, and an unfilled form counts as nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.experiments import Experiments, find_experiments, proposal
from grader.notebook import Cell, Notebook

WANTED = ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio")
HEADER = (
    "| # | patch_size | embed_dim | depth | num_heads | mlp_ratio | test accuracy |\n|---|---|---|---|---|---|---|\n"
)
ROWS = "".join(f"| {i} | 4 | {32 * i} | {i} | 4 | 2.0 | {85 + i}.5% |\n" for i in range(1, 6))
WHY = "A deeper network learns more, but after ten epochs it has not converged yet."
WHY_KOREAN = "모델이 깊어질수록 정확도가 높아졌지만 학습 시간이 길어졌다."
TRAIN = """def Train():
    patch_size = 4
    embed_dim = 64
    depth = 6
    num_heads = 8
    mlp_ratio = 2.0
Train()"""


def markdown(source: str) -> Cell:
    return Cell(index=0, kind="markdown", source=source)


def run(source: str, *outputs: str) -> Cell:
    return Cell(index=0, kind="code", source=source, outputs=outputs, output_count=len(outputs))


def notebook(*cells: Cell) -> Notebook:
    numbered = [
        Cell(index=i, kind=c.kind, source=c.source, outputs=c.outputs, output_count=c.output_count)
        for i, c in enumerate(cells)
    ]
    return Notebook(name="n.ipynb", cells=tuple(numbered))


def find(*cells: Cell) -> Experiments:
    return find_experiments(notebook(*cells), WANTED)


def counts(*cells: Cell) -> tuple[int, int, int]:
    return tuple(proposal(find(*cells), 5))  # type: ignore[return-value]


def analyses(heading: str, text: str = WHY) -> str:
    return "\n\n".join(f"{heading.format(i)}\n\n{text}" for i in range(1, 6))


@pytest.mark.parametrize(
    "prose",
    [
        analyses("### Setting {}"),
        analyses("### Analysis of setting {}"),
        analyses("#### {}. Deeper and wider"),
        analyses("### 설정 {}", WHY_KOREAN),
        analyses("### 실험 {} 분석", WHY_KOREAN),
        analyses("### Experiment {}\n\n#### Analysis"),
        "\n".join(f"{i}. {WHY}" for i in range(1, 6)),
        "\n".join(f"- **Setting {i}**: {WHY}" for i in range(1, 6)),
        "\n".join(f"### patch_size = 4, embed_dim = {32 * i}, depth = {i}\n{WHY}" for i in (3, 1, 5, 2, 4)),
        "\n".join(f"### Analysis\n{WHY}" for _ in range(5)),
    ],
)
def test_five_settings_in_a_table_with_an_analysis_each_are_all_recognised(prose: str) -> None:
    assert counts(markdown("## Results\n\n" + HEADER + ROWS), markdown(prose)) == (5, 5, 5)
    assert counts(markdown("## Results\n\n" + HEADER + ROWS + "\n" + prose)) == (5, 5, 5)


def test_a_row_gives_its_settings_accuracy_analysis_and_place() -> None:
    [first, *_] = find(
        run("x"), markdown(HEADER + ROWS), markdown(analyses("### Setting {}", "Only 32 wide. " + "z" * 500))
    ).found
    assert first.settings == {"patch_size": 4, "embed_dim": 32, "depth": 1, "num_heads": 4, "mlp_ratio": 2.0}
    assert (first.accuracy, first.cell, first.source) == (86.5, 1, "row 1 of the table in cell 2")
    assert first.analysis.startswith("Only 32 wide.")
    assert len(first.analysis) == 200


def test_an_analysis_goes_to_the_setting_that_it_is_numbered_after() -> None:
    found = find(markdown(HEADER + ROWS), markdown(f"### Setting 4\n{WHY}")).found
    assert [bool(e.analysis) for e in found] == [False, False, False, True, False]


@pytest.mark.parametrize("blank", ["", "...", "…", "—", "-", "TODO", "TBD", "?", "&nbsp;", "%"])
def test_an_unfilled_row_counts_as_nothing(blank: str) -> None:
    row = "| {} |" + f" {blank} |" * 6 + "\n"
    assert counts(markdown(HEADER + "".join(row.format(i) for i in range(1, 6)))) == (0, 0, 0)


@pytest.mark.parametrize(
    "stub",
    ["", "...", "TODO", "TODO: write what you see and why you think so", "<!-- your analysis goes here -->", "good"],
)
def test_a_heading_over_a_stub_is_no_analysis(stub: str) -> None:
    assert counts(markdown(HEADER + ROWS), markdown(analyses("### Setting {}", stub))) == (5, 5, 0)


def test_what_stands_in_the_template_counts_as_nothing() -> None:
    prompt = "Write here what you changed, and why it changed the accuracy as it did."
    template = notebook(
        markdown(HEADER + "| 0 | 7 | 64 | 2 | 4 | 2.0 | 80.0% |\n" + "| 1 | | | | | | |\n"),
        markdown(f"### Setting 1\n{prompt}"),
    )
    assert proposal(find_experiments(template, WANTED, template), 5) == (0, 0, 0)
    filled = notebook(
        markdown(HEADER + "| 0 | 7 | 64 | 2 | 4 | 2.0 | 80.0% |\n" + "| 1 | 4 | 64 | 2 | 4 | 2.0 | 88.1% |\n"),
        markdown(f"### Setting 1\n{prompt}\n{WHY}"),
    )
    [only] = find_experiments(filled, WANTED, template).found
    assert (only.settings["patch_size"], only.accuracy, only.analysis) == (4, 88.1, WHY)


def test_settings_without_accuracies_and_analyses_are_counted_as_such() -> None:
    table = HEADER + "".join(f"| {i} | 4 | 64 | {i} | 4 | 2.0 | |\n" for i in range(1, 6))
    assert counts(markdown(table)) == (5, 0, 0)


def test_no_more_is_proposed_than_is_needed() -> None:
    assert proposal(find(markdown(HEADER + ROWS)), 3) == (3, 3, 0)


def test_the_same_settings_twice_are_one_experiment() -> None:
    row = "| 1 | 4 | 64 | 6 | 8 | 2.0 | 90.1% |\n"
    assert counts(markdown(HEADER + row * 3)) == (1, 1, 0)
    assert counts(markdown(HEADER + row), run(TRAIN, "Test accuracy: 90.1%")) == (1, 1, 0)


def test_settings_that_differ_in_the_learning_rate_alone_are_two() -> None:
    rows = "| 4 | 6 | 1e-3 | 10 | 0.88 |\n| 4 | 6 | 1e-4 | 10 | 0.91 |\n"
    table = "| patch_size | depth | lr | epochs | acc |\n|--|--|--|--|--|\n" + rows
    found = find(markdown(table)).found
    assert [(e.settings["lr"], e.accuracy) for e in found] == [(0.001, 88.0), (0.0001, 91.0)]


def test_a_row_that_says_less_than_another_is_still_a_row() -> None:
    table = "| patch_size | depth | lr | acc |\n|--|--|--|--|\n| 4 | 6 | | 88 |\n| 4 | 6 | 1e-4 | 91 |\n"
    assert counts(markdown(table)) == (2, 2, 0)


def test_the_test_accuracy_is_taken_where_a_table_has_several() -> None:
    table = "| depth | patch_size | train acc | test acc |\n|--|--|--|--|\n| 6 | 4 | 99.1 | 90.2 |\n"
    assert find(markdown(table)).found[0].accuracy == 90.2


@pytest.mark.parametrize("title", ["정확도", "Accuracy (%)", "test_acc"])
def test_the_accuracy_column_may_be_called_in_many_ways(title: str) -> None:
    assert find(markdown(f"| patch_size | depth | {title} |\n|--|--|--|\n| 4 | 6 | 90.2 |")).found[0].accuracy == 90.2


def test_a_table_may_hold_the_settings_in_one_column_and_the_analysis_in_another() -> None:
    rows = f"| patch_size=4, depth=6 | 90.2% | {WHY_KOREAN} |\n| patch_size=7, depth=6 | 88% | |\n"
    table = "| settings | accuracy | 분석 |\n|--|--|--|\n" + rows
    assert counts(markdown(table)) == (2, 2, 1)


def test_a_table_may_hold_one_setting_a_column() -> None:
    table = "| | A | B |\n|--|--|--|\n| patch_size | 4 | 7 |\n| depth | 6 | 2 |\n| accuracy | 90% | 85% |\n"
    assert [(e.settings, e.accuracy) for e in find(markdown(table)).found] == [
        ({"patch_size": 4, "depth": 6}, 90.0),
        ({"patch_size": 7, "depth": 2}, 85.0),
    ]


def test_a_table_that_a_program_printed_counts_like_one_that_was_written() -> None:
    assert counts(run("run_experiments()", HEADER + ROWS), markdown(analyses("### Setting {}"))) == (5, 5, 5)
    assert counts(run("run_experiments()", HEADER + ROWS), markdown(HEADER + ROWS)) == (5, 5, 0)
    assert find(run("", HEADER + ROWS)).found[0].source == "row 1 of the table in the output of cell 1"


def test_prose_under_a_numbered_heading_about_something_else_is_no_analysis() -> None:
    assert counts(markdown(HEADER + ROWS), markdown(f"## 6. Training\n{WHY}\n## Conclusion\n{WHY}")) == (5, 5, 0)


def test_trying_out_a_layer_is_no_experiment() -> None:
    layer = "class B(nn.Module):\n    def __init__(self, patch_size, depth, num_heads): pass"
    assert counts(run(f"{layer}\nB(4, 2, 2)\nB(4, 4, 4)", "torch.Size([1])")) == (0, 0, 0)


def test_a_table_about_something_else_is_no_experiment() -> None:
    assert counts(markdown("| layer | parameters |\n|--|--|\n| 1 | 300 |\n")) == (0, 0, 0)


def test_a_run_gives_the_settings_of_its_cell_the_last_test_accuracy_and_the_analysis_below_it() -> None:
    log = "Epoch 1 test accuracy: 80.12%\nEpoch 2 test accuracy: 90.31%\ntrain accuracy: 99.0%"
    [only] = find(run(TRAIN, log), markdown(WHY)).found
    assert (only.settings["num_heads"], only.accuracy, only.analysis) == (8, 90.31, WHY)
    assert only.source == "the output of cell 1"


def test_a_run_a_cell_is_an_experiment_a_cell() -> None:
    cells: list[Cell] = []
    for depth in range(1, 6):
        cells += [run(TRAIN.replace("depth = 6", f"depth = {depth}"), f"정확도: 0.{85 + depth}"), markdown(WHY)]
    assert counts(*cells) == (5, 5, 5)
    assert [e.accuracy for e in find(*cells).found] == [86.0, 87.0, 88.0, 89.0, 90.0]


def test_a_loop_that_prints_settings_and_accuracies_gives_one_experiment_each() -> None:
    log = "".join(f"patch_size=4, depth={d}\nepoch 1 loss 0.5\nAccuracy: {85 + d}.0%\n" for d in range(1, 6))
    assert counts(run("for d in range(1, 6): train(d)", log)) == (5, 5, 0)
    assert find(run("", log)).found[4].accuracy == 90.0


@pytest.mark.parametrize(
    "listed",
    [
        "configs = [dict(patch_size=4, depth=2, num_heads=2), dict(patch_size=4, depth=4, num_heads=4)]",
        "configs = [\n{'patch_size': 4, 'depth': 2, 'num_heads': 2},\n{'patch_size': 7, 'depth': 2, 'num_heads': 4}]",
        "def go(patch_size, depth, num_heads): fit()\nfor p in [(4, 2, 2), (4, 4, 4)]: go(*p)",
    ],
)
def test_a_list_of_settings_in_code_is_found_without_accuracies(listed: str) -> None:
    assert counts(run(listed)) == (2, 0, 0)


def test_settings_that_were_commented_out_are_found_with_the_accuracy_beside_them() -> None:
    source = "\n".join(
        f"# patch_size = 4, embed_dim = 64, depth = {d}, num_heads = 8  -> acc {85 + d}.2%" for d in range(1, 6)
    )
    assert counts(run(source)) == (5, 5, 0)


def test_one_setting_in_code_without_a_run_is_no_experiment() -> None:
    assert counts(run(TRAIN), run("model = ViT(patch_size=4, depth=2, num_heads=2)", "torch.Size([1, 10])")) == (
        0,
        0,
        0,
    )


@pytest.mark.parametrize("accuracy", ["101%", "-3", "nan", "epoch 12"])
def test_what_is_no_percentage_is_no_accuracy(accuracy: str) -> None:
    [only] = find(markdown(f"| patch_size | depth | accuracy |\n|--|--|--|\n| 4 | 6 | {accuracy} |")).found
    assert only.accuracy is None


fragments = [
    "|",
    "---",
    "\n",
    " ",
    "depth",
    "patch_size",
    "=",
    "4",
    "acc",
    "%",
    "#",
    "1.",
    "**",
    "분석",
    ":",
    "[",
    "\t",
]
texts = st.lists(st.sampled_from(fragments), max_size=40).map("".join) | st.text(max_size=60)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), texts, texts), max_size=4))
def test_random_notebooks_never_raise(cells: list[tuple[bool, str, str]]) -> None:
    odd = notebook(*(run(source, output) if is_code else markdown(source) for is_code, source, output in cells))
    assert all(count <= 5 for count in proposal(find_experiments(odd, WANTED, odd), 5))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    ["# " + " " * 100_000, ("|" + " " * 900 + "\n") * 900, "1" + " 1." * 50_000, "acc" * 100_000, "depth" * 100_000],
)
def test_text_made_to_slow_patterns_down_does_not(text: str) -> None:
    assert find(markdown(text), run(text, text)).found == ()
