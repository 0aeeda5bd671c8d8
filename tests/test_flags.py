"""Flags: each is raised once, for the right reason, at the right place; and honest work raises none."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from conftest import PART1, PART2, HandIn
from hypothesis import given as holds
from hypothesis import settings
from hypothesis import strategies as st

from grader.assignment import Assignment
from grader.flags import flags_of
from grader.given import Comparison, compare
from grader.notebook import Cell, Notebook, read_notebook
from grader.records import CheckpointResult, Flag, Record
from grader.statements import code
from grader.submission import Opened, hidden_part

ROLES = {"part1": PART1, "part2": PART2}
SPLIT = "return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)"
BANNER = "#            IMPLEMENT YOUR CODE             #"
TODO = "######################### TO DO #########################"
LOCK = "######################### DO NOT CHANGE #########################"

Flagged = Callable[..., list[Flag]]


@pytest.fixture
def flagged(assignment: Assignment) -> Flagged:
    """The flags of a hand-in, without a sandbox: `accuracy` is what the weights were measured to reach."""

    def flags(hand_in: HandIn, accuracy: float | None = None) -> list[Flag]:
        notebooks = {role: read_notebook(n, json.dumps(hand_in.notebooks[n]).encode()) for role, n in ROLES.items()}
        trained = SimpleNamespace(notes=(), result=CheckpointResult(accuracy=accuracy))
        opened = SimpleNamespace(
            assignment=assignment, submission=SimpleNamespace(notes=()), notebooks=notebooks, trained=trained
        )
        return list(flags_of(cast("Opened", opened), []))

    return flags


def only(flags: list[Flag], flag_id: str) -> Flag:
    assert [flag.id for flag in flags] == [flag_id], flags
    return flags[0]


def code_cells(hand_in: HandIn, name: str) -> list[dict[str, Any]]:
    return [cell for cell in hand_in.notebooks[name]["cells"] if cell["cell_type"] == "code"]


def rewritten(hand_in: HandIn, change: Callable[[str], str]) -> HandIn:
    """Every code cell of both notebooks, changed in the same way."""
    for name in ROLES.values():
        for cell in code_cells(hand_in, name):
            cell["source"] = change("".join(cell["source"]))
    return hand_in


def number_of(hand_in: HandIn, name: str, text: str) -> int:
    """The number of the one code cell that holds `text`, counted from 1."""
    cells = hand_in.notebooks[name]["cells"]
    found = [i for i, c in enumerate(cells, 1) if c["cell_type"] == "code" and text in "".join(c["source"])]
    assert len(found) == 1, found
    return found[0]


class TestNoFlagIsRaisedFor:
    def test_the_reference(self, hand_in: HandIn, flagged: Flagged) -> None:
        assert flagged(hand_in, accuracy=0.9141) == []

    def test_the_reference_on_the_whole_road(self, hand_in: HandIn, graded: Callable[..., Record]) -> None:
        assert graded(hand_in).flags == ()

    def test_code_that_was_formatted_anew(self, hand_in: HandIn, flagged: Flagged) -> None:
        def reformat(source: str) -> str:
            command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "60", "-"]
            return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout

        # One process a cell would take a while: the cells that hold given code are enough.
        assert (
            flagged(rewritten(hand_in, lambda s: reformat(s) if "YOUR CODE" in s or TODO in s or LOCK in s else s))
            == []
        )

    def test_code_without_comments_markers_and_docstrings(self, hand_in: HandIn, flagged: Flagged) -> None:
        def bare(source: str) -> str:
            tree = ast.parse(source)
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                    node.body = node.body[1:] or [ast.Pass()]
            return ast.unparse(tree)

        assert flagged(rewritten(hand_in, bare)) == []

    def test_changed_comments_and_line_endings(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("# (batch, length, dim) -> (batch, heads, length, word_dim)", "# 헤드로 나눈다")
        hand_in.edit(
            '"""Two linear layers with a ReLU between, applied to each position on its own."""', "# TODO: none"
        )
        assert flagged(rewritten(hand_in, lambda source: source.replace("\n", "\r\n"))) == []

    def test_saving_the_notebook_elsewhere(self, hand_in: HandIn, flagged: Flagged) -> None:
        for name in ROLES.values():
            hand_in.notebooks[name]["metadata"] = {"colab": {"provenance": []}, "kernelspec": {"name": "ai_hw2"}}
            for number, cell in enumerate(hand_in.notebooks[name]["cells"]):
                cell["metadata"] = {"id": f"c{number}", "outputId": "x", "collapsed": True}
                cell["source"] = "".join(cell["source"]).splitlines(keepends=True)
        assert flagged(hand_in) == []

    def test_training_with_other_settings(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("    mlp_ratio = 2.0\n    ###", "    mlp_ratio = 4\n    batch_size = 64\n    ###")
        hand_in.edit(
            "DataLoader(train_data, batch_size=128, shuffle=True)", "DataLoader(train_data, 64, num_workers=2)"
        )
        hand_in.edit("epochs = 100\n", "epochs = 3\n")
        hand_in.edit(
            "torch.optim.Adam(transformer.parameters(), lr=1e-4,",
            "torch.optim.AdamW(transformer.parameters(), lr=3e-4,",
        )
        hand_in.edit(
            "torch.save(model.state_dict(), './vit.pth')", "torch.save(model.state_dict(), '/content/vit.pth')"
        )
        assert flagged(hand_in) == []

    def test_settings_that_became_parameters(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("def Train():", "def Train(depth=5, num_heads=6):")
        hand_in.edit("    depth = 5\n    num_heads = 6\n", "")
        assert flagged(hand_in) == []

    def test_settings_in_a_dict(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit(
            "embed_dim=embed_dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio,\n    ).to",
            "**CONFIG\n    ).to",
        )
        hand_in.cell(PART2, "CONFIG = dict(embed_dim=96, depth=5, num_heads=6, mlp_ratio=2.0)", at=2)
        assert flagged(hand_in) == []

    def test_a_duplicated_cell(self, hand_in: HandIn, flagged: Flagged) -> None:
        cells = hand_in.notebooks[PART1]["cells"]
        at = number_of(hand_in, PART1, "class MultiHeadAttention")
        cells.insert(at, json.loads(json.dumps(cells[at - 1])))
        assert flagged(hand_in) == []

    def test_a_cell_that_was_split_and_moved(self, hand_in: HandIn, flagged: Flagged) -> None:
        train = code_cells(hand_in, PART2)[-2]
        head, call = "".join(train["source"]).rsplit("Train()", 1)[0], "Train()"
        train["source"] = call
        hand_in.cell(PART2, head, at=number_of(hand_in, PART2, "sample = ") - 1)
        assert flagged(hand_in) == []

    def test_names_of_the_students_own(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit(
            "x = x.transpose(1, 2).reshape(B, N, C)" if False else "        x = self.proj(x)\n        return x",
            "        out = self.proj(x)\n        return out",
        )
        hand_in.edit(
            "output = self.norm2(X + self.dropout(self.ffn(X)))", "return self.norm2(X + self.dropout(self.ffn(X)))"
        )
        hand_in.edit(
            "self.self_attn = MultiHeadAttention(dim, head_num)\n        self.ffn",
            "self.attention_층 = MultiHeadAttention(dim, head_num)\n        self.ffn",
        )
        assert flagged(hand_in) == []

    def test_extra_cells_that_print_plot_train_or_install(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.cell(PART1, "!pip install einops\n%matplotlib inline", at=0)
        hand_in.cell(PART2, "import time\nlosses = [1.0, 0.5]\nplt.plot(losses)\nprint(losses)")
        hand_in.cell(PART2, "def show(x):\n    return x\n\nfor i in range(3):\n    show(i)")
        assert flagged(hand_in) == []

    def test_imports_for_the_zones(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.cell(PART1, "from torch.nn import LayerNorm as Norm", at=3)
        hand_in.edit("self.norm3 = nn.LayerNorm(dim)", "self.norm3 = Norm(dim)")
        assert flagged(hand_in) == []

    def test_prints_type_hints_and_asserts_in_given_code(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit(
            "def split(self, X):\n", "def split(self, X: torch.Tensor) -> torch.Tensor:\n        print(X.shape)\n"
        )
        hand_in.edit("self.word_dim = dim // head_num", "self.word_dim: int = dim // head_num")
        hand_in.edit("        assert dim % head_num == 0, 'dim must be divisible by head_num'\n", "")
        hand_in.edit(
            "super().__init__()\n        self.FFN_layer", "super(FFN, self).__init__()\n        self.FFN_layer"
        )
        assert flagged(hand_in) == []

    def test_a_class_whose_cell_cannot_be_read(self, hand_in: HandIn, flagged: Flagged) -> None:
        assert flagged(hand_in.edit("self.FFN_layer = nn.Sequential(", "self.FFN_layer = = nn.Sequential(")) == []


class TestGivenCodeChanged:
    def test_a_changed_line_outside_the_zones(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("return X + self.PE[:, :X.size(1)]", "return 2 * X + self.PE[:, :X.size(1)]")
        flag = only(flagged(hand_in), "given_code_changed")
        cell = number_of(hand_in, PART1, "class PositionalEncoding")
        assert flag.evidence["cell"] == cell
        assert flag.evidence["line"] == 23
        assert f"{PART1}, cell {cell}, line 23: code of PositionalEncoding.forward" in flag.message

    def test_a_deleted_line(self, hand_in: HandIn, flagged: Flagged) -> None:
        flag = only(flagged(hand_in.edit("        self.scale = head_dim ** -0.5\n", "")), "given_code_changed")
        assert "`self.scale = head_dim ** (-0.5)`" in flag.message
        assert flag.evidence["places"] == [{"name": "Attention.__init__", "cell": 15, "line": 4}]

    def test_a_changed_signature(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("def forward(self, X, mask):", "def forward(self, mask, X):")
        assert "EncoderLayer.forward" in only(flagged(hand_in), "given_code_changed").message

    def test_a_changed_default(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("def __init__(self, dim, num_heads=8):", "def __init__(self, dim, num_heads=1):")
        assert "Attention.__init__" in only(flagged(hand_in), "given_code_changed").message

    def test_another_base_class(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("class Block(nn.Module):", "class Block(nn.Sequential):")
        assert "class Block(nn.Module):" in only(flagged(hand_in), "given_code_changed").message

    def test_given_lines_in_another_order(self, hand_in: HandIn, flagged: Flagged) -> None:
        lines = ["        self.norm1 = norm_layer(dim)\n", "        self.attn = Attention(dim, num_heads=num_heads)\n"]
        only(flagged(hand_in.edit("".join(lines), "".join(reversed(lines)))), "given_code_changed")

    def test_where_the_markers_were_deleted(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit(
            "self.head = nn.Linear(embed_dim, num_classes)", "self.head = nn.Linear(embed_dim, 2 * num_classes)"
        )
        rewritten(hand_in, lambda source: "\n".join(x for x in source.split("\n") if not x.lstrip().startswith("##")))
        assert "VisionTransformer.__init__" in only(flagged(hand_in), "given_code_changed").message

    def test_the_test_images_in_the_training(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit(
            "test_data = datasets.FashionMNIST(root='./data', train=False, download=True, transform=",
            "test_data = datasets.FashionMNIST(root='./data', train=True, download=True, transform=",
        )
        flag = only(flagged(hand_in), "given_code_changed")
        assert flag.evidence["name"] == "Train"
        assert flag.evidence["line"] == 17

    def test_several_places_of_a_class_are_one_flag(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("self.scale = head_dim ** -0.5", "self.scale = 1.0")
        hand_in.edit("        x = self.proj(x)\n        return x", "        return x")
        flag = only(flagged(hand_in), "given_code_changed")
        assert [place["name"] for place in flag.evidence["places"]] == ["Attention.__init__", "Attention.forward"]
        assert "(and in Attention.forward)" in flag.message

    def test_the_last_of_two_definitions_counts(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("return X + self.PE[:, :X.size(1)]", "return X + self.PE[:, :X.size(1)]  # the first")
        source = "".join(hand_in.notebooks[PART1]["cells"][number_of(hand_in, PART1, "# the first") - 1]["source"])
        hand_in.cell(PART1, source.replace("return X + self.PE", "return X - self.PE"))
        assert only(flagged(hand_in), "given_code_changed").evidence["cell"] == 41

    def test_another_hand_out_is_one_flag(self, hand_in: HandIn, flagged: Flagged) -> None:
        for name in ("PositionalEncoding", "MultiHeadAttention", "EncoderLayer", "DecoderLayer"):
            hand_in.edit(f"class {name}(nn.Module):", f"class {name}(torch.jit.ScriptModule):")
        assert "another year's hand-out" in only(flagged(hand_in), "given_code_changed").message


class TestGivenBlockChanged:
    def test_the_body_of_a_method(self, hand_in: HandIn, flagged: Flagged) -> None:
        flag = only(flagged(hand_in.edit(SPLIT, SPLIT.replace("(1, 2)", "(2, 1)"))), "given_block_changed")
        assert flag.evidence["places"] == [{"name": "MultiHeadAttention.split", "cell": 19, "line": 37}]
        assert f"in a DO NOT CHANGE block, was changed; the template reads `{SPLIT}`" in flag.message

    def test_a_line_that_was_added(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit(
            "        heads = self.W_o(self.combine(heads))\n",
            "        heads = self.W_o(self.combine(heads))\n        heads = heads * 2\n",
        )
        assert only(flagged(hand_in), "given_block_changed").evidence["line"] == 50

    def test_the_buffer(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("self.register_buffer('PE', PE.unsqueeze(0))", "self.PE = nn.Parameter(PE.unsqueeze(0))")
        assert "PositionalEncoding.__init__" in only(flagged(hand_in), "given_block_changed").message

    def test_a_whole_class(self, hand_in: HandIn, flagged: Flagged) -> None:
        assert "FFN.__init__" in only(flagged(hand_in.edit("nn.ReLU(),", "nn.GELU(),")), "given_block_changed").message

    def test_a_class_that_is_gone(self, hand_in: HandIn, flagged: Flagged) -> None:
        at = number_of(hand_in, PART1, "class FFN")
        del hand_in.notebooks[PART1]["cells"][at - 1]
        flag = only(flagged(hand_in), "given_block_changed")
        assert "FFN, given in a DO NOT CHANGE block, is gone" in flag.message
        assert "cell" not in flag.evidence

    def test_a_method_that_is_gone(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("    def combine(self, X):", "    def combined(self, X):")
        flag = next(flag for flag in flagged(hand_in) if flag.id == "given_block_changed")
        assert "`def combine(self, X):`" in flag.message

    def test_bare_statements(self, hand_in: HandIn, flagged: Flagged) -> None:
        flag = only(flagged(hand_in.edit("\ndim = 512\n", "\ndim = 128\n")), "given_block_changed")
        assert flag.evidence["cell"] == number_of(hand_in, PART1, "dim = 128")
        assert flag.evidence["line"] == 6
        assert "`dim = 512`" in flag.message

    def test_bare_statements_that_are_gone(self, hand_in: HandIn, flagged: Flagged) -> None:
        del hand_in.notebooks[PART1]["cells"][number_of(hand_in, PART1, "optimizer.zero_grad()") - 1]
        assert "is gone" in only(flagged(hand_in), "given_block_changed").message


class TestCodeOutsideZones:
    def test_a_helper_class_in_its_own_cell(self, hand_in: HandIn, flagged: Flagged) -> None:
        at = number_of(hand_in, PART1, "class EncoderLayer")
        hand_in.cell(PART1, "\nclass Norm(nn.LayerNorm):\n    pass\n\nEPS = 1e-5", at=at - 1)
        hand_in.edit(
            "self.norm1 = nn.LayerNorm(dim)\n        self.norm2 = nn.LayerNorm(dim)\n        self.dropout",
            "self.norm1 = Norm(dim)\n        self.norm2 = Norm(dim, EPS)\n        self.dropout",
        )
        flag = only(flagged(hand_in), "code_outside_zones")
        assert flag.evidence["cells"] == [at]
        assert flag.evidence["places"] == [
            {"name": "Norm", "cell": at, "line": 2},
            {"name": "EPS", "cell": at, "line": 5},
        ]

    def test_a_statement_in_a_given_method(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit(
            "        return X + self.PE[:, :X.size(1)]", "        X = X * 8\n        return X + self.PE[:, :X.size(1)]"
        )
        flag = only(flagged(hand_in), "code_outside_zones")
        assert flag.evidence["places"] == [{"name": "PositionalEncoding.forward", "cell": 9, "line": 23}]

    def test_a_method_beside_the_zones(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit(
            "    def forward(self, X, mask):",
            "    def helper(self, X):\n        return X\n\n    def forward(self, X, mask):",
        )
        assert "EncoderLayer.helper" in only(flagged(hand_in), "code_outside_zones").message

    def test_a_method_put_into_a_class_later(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.cell(PART1, "MultiHeadAttention.split = lambda self, X: X")
        assert "MultiHeadAttention.split" in only(flagged(hand_in), "code_outside_zones").message

    def test_it_is_said_once_a_notebook(self, hand_in: HandIn, flagged: Flagged) -> None:
        hand_in.edit("        B, N, C = x.shape\n", "        B, N, C = x.shape\n        x = x * 1\n")
        hand_in.edit(
            "        return X + self.PE[:, :X.size(1)]", "        X = X * 8\n        return X + self.PE[:, :X.size(1)]"
        )
        hand_in.edit(
            "    def forward(self, X, mask):",
            "    def helper(self, X):\n        return X\n\n    def forward(self, X, mask):",
        )
        flags = flagged(hand_in)
        assert [(flag.id, flag.evidence["file"]) for flag in flags] == [
            ("code_outside_zones", "part1"),
            ("code_outside_zones", "part2"),
        ]
        assert flags[0].evidence["cells"] == [9, 27]

    def test_not_where_deleted_markers_leave_open_what_a_zone_was(self, hand_in: HandIn, flagged: Flagged) -> None:
        cell = hand_in.notebooks[PART1]["cells"][8]
        cell["source"] = "".join(cell["source"]).replace(TODO, "#", 1)
        assert flagged(hand_in) == []


class TestHowItWasSaved:
    def test_all_outputs_cleared(self, hand_in: HandIn, flagged: Flagged) -> None:
        for cell in code_cells(hand_in, PART1):
            cell["outputs"], cell["execution_count"] = [], None
        assert only(flagged(hand_in), "outputs_cleared").evidence == {"file": "part1"}

    def test_all_outputs_cleared_but_for_the_numbers(self, hand_in: HandIn, flagged: Flagged) -> None:
        for cell in code_cells(hand_in, PART1):
            cell["outputs"] = []
        assert only(flagged(hand_in), "outputs_cleared").evidence == {"file": "part1"}

    def test_the_output_of_the_training_cleared(self, hand_in: HandIn, flagged: Flagged) -> None:
        code_cells(hand_in, PART2)[-2]["outputs"] = []
        assert only(flagged(hand_in), "outputs_cleared").evidence == {"file": "part2", "cells": [39]}

    def test_but_not_of_a_cell_for_colab_alone(self, hand_in: HandIn, flagged: Flagged) -> None:
        code_cells(hand_in, PART2)[0]["outputs"] = []
        assert flagged(hand_in) == []

    def test_a_saved_error(self, hand_in: HandIn, flagged: Flagged) -> None:
        error = {"output_type": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []}
        code_cells(hand_in, PART1)[-1]["outputs"].append(error)
        flag = only(flagged(hand_in), "saved_error")
        assert flag.evidence == {"file": "part1", "cells": [39], "errors": ["KeyboardInterrupt"]}

    def test_cells_that_ran_out_of_order(self, hand_in: HandIn, flagged: Flagged) -> None:
        code_cells(hand_in, PART1)[3]["execution_count"] = 99
        flag = only(flagged(hand_in), "execution_order")
        assert "cell 9 ran after cell 11" in flag.message
        assert flag.evidence == {"file": "part1", "cells": [11]}


class TestAccuracyClaimed:
    def test_a_printed_accuracy_that_the_weights_do_not_reach(self, hand_in: HandIn, flagged: Flagged) -> None:
        flag = only(flagged(hand_in, accuracy=0.908), "accuracy_claimed")
        assert flag.evidence == {"file": "part2", "cell": 39, "printed": 91.41, "measured": 90.8}

    @pytest.mark.parametrize("accuracy", [None, 0.9141, 0.93, 0.911])
    def test_not_within_half_a_point_and_not_without_a_measure(
        self, hand_in: HandIn, flagged: Flagged, accuracy: float | None
    ) -> None:
        assert flagged(hand_in, accuracy=accuracy) == []

    @pytest.mark.parametrize(
        "printed",
        [
            "Test Acc: 0.952",
            "[Test] accuracy = 95.2 %",
            "테스트 정확도: 95.2%",
            "Accuracy of the network on the 10000 test images: 95.2 %",
            "Epoch 9 train acc 88.0% test acc 60.0%\nEpoch 10 | test acc 95.2% | train acc 99.0%",
            "epoch 1 test acc 95.9\rTest accuracy: 95.2%\n",
        ],
    )
    def test_as_students_print_it(self, hand_in: HandIn, flagged: Flagged, printed: str) -> None:
        self.prints(hand_in, printed)
        assert only(flagged(hand_in, accuracy=0.92), "accuracy_claimed").evidence["printed"] == pytest.approx(95.2)

    @pytest.mark.parametrize(
        "printed",
        [
            "Training accuracy: 99.0%",
            "No test yet, train accuracy: 99.0%",
            "Test accuracy: 99/128 in the first batch",
            "Test accuracy: 91.41%\rEpoch 2, test accuracy: 95.2%",
            "Best validation accuracy 95%",
            "Latest accuracy 95%",
            "Test accuracy: 91.41%\nTest accuracy: 95.2%",  # two runs: the weights may be the first one's
        ],
    )
    def test_not_for_other_numbers(self, hand_in: HandIn, flagged: Flagged, printed: str) -> None:
        self.prints(hand_in, printed)
        assert flagged(hand_in, accuracy=0.9141) == []

    def test_not_for_a_better_experiment(self, hand_in: HandIn, flagged: Flagged) -> None:
        stream = {"output_type": "stream", "name": "stdout", "text": ["Test accuracy: 95.0%\n"]}
        code_cells(hand_in, PART2)[-1]["outputs"].append(stream)
        assert flagged(hand_in, accuracy=0.9141) == []

    @staticmethod
    def prints(hand_in: HandIn, text: str) -> None:
        output = {"output_type": "stream", "name": "stdout", "text": text}
        code_cells(hand_in, PART2)[-2]["outputs"] = [output]


class TestHostileNotebooks:
    FRAGMENTS = st.sampled_from([
        "class FFN:\n", "class Block(Block):\n", "    def forward(self, *x, **y):\n", "        return x\n",
        "x = 1; y = 2\n", "    pass\n", f"{TODO}\n", f"{LOCK}\n", f"{BANNER}\n", "@a\n", "@a\nclass Mlp: x = 1\n",
        "if 1:\n  class FFN: pass\n", "async def Train(): pass\n", "Train = 1\n", "FFN.x = 1\n", "%%time\n", "(" * 80,
        "dim = 512\n", "def Train(a, /, *, b=1): pass\n", "if __name__ == '__main__':\n    Train()\n",
        "def Train():\n    x = 0x" + "f" * 5000 + "\n",
    ])  # fmt: skip

    @settings(max_examples=100, deadline=None)
    @holds(cells=st.lists(st.lists(FRAGMENTS, max_size=8).map("".join), max_size=6))
    def test_never_raise(self, assignment: Assignment, cells: list[str]) -> None:
        notebook = Notebook(
            name="n.ipynb", cells=tuple(Cell(index=i, kind="code", source=s) for i, s in enumerate(cells))
        )
        for stub in hidden_part(assignment).stubs.values():
            compare(notebook, stub, ["FFN", "Block"], ["depth"])

    def test_nested_too_deeply_are_not_accused(self, assignment: Assignment) -> None:
        source = "class FFN(nn.Module):\n    def forward(self, X):\n        return " + "-" * 250 + "X"
        stub = hidden_part(assignment).stubs["part1"]

        def called_from(depth: int, notebook: Notebook) -> Comparison:
            return called_from(depth - 1, notebook) if depth else compare(notebook, stub, [], [])

        def changed(depth: int) -> set[str]:  # two cells with one text share what is known of it
            cell = Cell(index=0, kind="code", source=f"{source}  # {depth}")
            notebook = Notebook(name="n.ipynb", cells=(cell,))
            assert code(notebook).problems == ()
            return {change.name for change in called_from(depth, notebook).changes}

        free = sys.getrecursionlimit() - len(inspect.stack(0))
        assert "FFN.forward" in changed(10)
        assert "FFN.forward" not in changed(free - 400)

    @pytest.mark.parametrize(
        "source",
        [
            "class FFN(nn.Module):\n    def forward(self, X):\n" + "        X = X\n" * 3_000,
            f"{TODO}\n" * 3_000,
            "class FFN(nn.Module):\n" + f"    def f(self): return 1\n    {TODO}\n" * 1_500,
            "\n".join(f"FFN.x{i} = x{i} = " + "-" * 90 + "1" for i in range(1_500)),
        ],
        ids=["long", "markers", "methods", "statements"],
    )
    def test_take_no_time(self, hand_in: HandIn, flagged: Flagged, source: str) -> None:
        hand_in.cell(PART1, source)
        started = time.monotonic()
        flagged(hand_in)
        assert time.monotonic() - started < 20  # a second here; minutes where the work is not bounded

    def test_take_no_time_over_what_they_printed(self, hand_in: HandIn, flagged: Flagged) -> None:
        TestAccuracyClaimed.prints(hand_in, ("testacc" * 43 + "\n") * 60)
        started = time.monotonic()
        flagged(hand_in, accuracy=0.9)
        assert time.monotonic() - started < 20
