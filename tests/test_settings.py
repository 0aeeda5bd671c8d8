"""Settings are found wherever students leave them, the best evidence first, and nothing is executed to find them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from grader.notebook import Cell, Notebook
from grader.reading import read_settings
from grader.settings import Candidate, candidates

WANTED = ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio")
FIVE = {"patch_size": 4, "embed_dim": 64, "depth": 6, "num_heads": 8, "mlp_ratio": 2.0}
MODEL = """class ViT(nn.Module):
    def __init__(self, img_size=28, patch_size=7, in_chans=1, num_classes=10, embed_dim=768, depth=12,
                 num_heads=12, mlp_ratio=4., norm_layer=nn.LayerNorm):
        super().__init__()
"""
CALL = "model = ViT(patch_size=patch_size, embed_dim=embed_dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio)"
LOCALS = "patch_size = 4\nembed_dim = 64\ndepth = 6\nnum_heads = 8\nmlp_ratio = 2.0"


def notebook(*cells: str) -> Notebook:
    return Notebook(
        name="n.ipynb",
        cells=tuple(
            Cell(index=i, kind="markdown" if s.startswith("<md>") else "code", source=s.removeprefix("<md>\n"))
            for i, s in enumerate(cells)
        ),
    )


def found(*cells: str) -> list[Candidate]:
    return candidates(notebook(*cells), WANTED, "ViT")


def best(*cells: str) -> dict[str, Any]:
    return found(*cells)[0].values


def indented(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))


@pytest.mark.parametrize(
    "code",
    [
        f"def Train():\n{indented(LOCALS)}\n    {CALL}\n    torch.save(model.state_dict(), 'v.pth')\nTrain()",
        f"def Train():\n{indented(LOCALS)}\n    {CALL}",
        f"{LOCALS}\n{CALL}",
        f"{LOCALS}\ndef Train():\n    {CALL}\nTrain()",
        "model = ViT(28, 4, 1, 10, 64, 6, 8, 2.0)",
        "model = ViT(28, *[4, 1, 10], 64, 6, 8, 2.0)",
        "model = vit.ViT(patch_size=4, embed_dim=64, depth=6, num_heads=8, mlp_ratio=2.).to(device)",
        "cfg = dict(patch_size=4, embed_dim=64, depth=6, num_heads=8, mlp_ratio=2.0)\nmodel = ViT(**cfg)",
        "cfg = {'patch_size': 4, 'embed_dim': 64, 'depth': 6, 'num_heads': 8}\ncfg['mlp_ratio'] = 2.0\nViT(**cfg)",
        "base = {'patch_size': 4, 'embed_dim': 64}\nViT(**{**base, 'depth': 6}, num_heads=8, mlp_ratio=2.0)",
        "c = {'p': 4, 'e': 64}\n"
        "ViT(patch_size=c['p'], embed_dim=c.get('e'), depth=c.get('d', 6), num_heads=8, mlp_ratio=2.)",
        "args = SimpleNamespace(e=64, d=6)\n"
        "ViT(patch_size=4, embed_dim=args.e, depth=args.d, num_heads=8, mlp_ratio=2.)",
        "p = argparse.ArgumentParser()\np.add_argument('-n', '--num-heads', type=int, default=8)\n"
        "args = p.parse_args([])\n"
        "ViT(28, 4, 1, 10, 64, 6, args.num_heads, 2.0)",
        "class Config:\n    heads = 8\n    dim = 64\nViT(28, 4, 1, 10, Config.dim, 6, Config().heads, 2.0)",
        "@dataclass\nclass Config:\n    dim: int = 32\n    heads: int = 8\n"
        "c = Config(dim=64)\nViT(28, 4, 1, 10, c.dim, 6, c.heads, 2.0)",
        "class Config:\n    def __init__(self, dim):\n        self.dim = dim\n        self.heads = 8\n"
        "c = Config(64)\nViT(28, 4, 1, 10, c.dim, 6, c.heads, 2.0)",
        "class Trainer:\n    def __init__(self, heads):\n        self.heads = heads\n    def build(self):\n"
        "        self.model = ViT(28, 4, 1, 10, 64, 6, self.heads, 2.0)\nTrainer(8).build()",
        "def build(dim, heads=8):\n    return ViT(28, 4, 1, 10, dim, 6, heads, 2.0)\nmodel = build(64)",
        "def run(**kw):\n    return ViT(**kw)\nrun(patch_size=4, embed_dim=64, depth=6, num_heads=8, mlp_ratio=2.0)",
        "def settings():\n    return {'num_heads': 8, 'depth': 6}\n"
        "ViT(patch_size=4, embed_dim=64, mlp_ratio=2.0, **settings())",
        "d = 2 * 32\nheads = d // 8\n"
        "ViT(patch_size=28 // 7, embed_dim=int(d), depth=2 + 4, num_heads=heads, mlp_ratio=2**1.0)",
        "patch, (dim, deep) = 4, (64, 6)\nViT(28, patch, 1, 10, dim, deep, 8, 2.0)",
        "big = False\nViT(28, 4, 1, 10, 192 if big else 64, 6, 8, 2.0)",
        "try:\n    with open('x'):\n        while True:\n            ViT(28, 4, 1, 10, 64, 6, 8, 2.0)\nexcept E: pass",
    ],
)
def test_the_settings_of_a_call_are_found(code: str) -> None:
    assert best(MODEL, code) == FIVE


def test_arguments_that_are_not_passed_have_the_defaults_of_the_class() -> None:
    assert best(MODEL, "model = ViT(embed_dim=64)") == {
        "patch_size": 7,
        "embed_dim": 64,
        "depth": 12,
        "num_heads": 12,
        "mlp_ratio": 4.0,
    }


def test_what_cannot_be_told_is_absent_and_not_guessed_from_a_default() -> None:
    assert best(MODEL, "ViT(embed_dim=64, depth=int(input()), num_heads=unknown[0])") == {
        "patch_size": 7,
        "embed_dim": 64,
        "mlp_ratio": 4.0,
    }
    assert best(MODEL, "ViT(embed_dim=64, **load_settings())") == {"embed_dim": 64}


def test_the_last_assignment_before_the_call_counts() -> None:
    train = "def Train():\n    num_heads = 4\n    num_heads = 8\n    ViT(num_heads=num_heads)\n    num_heads = 2"
    assert best(MODEL, train)["num_heads"] == 8


def test_a_call_site_of_the_enclosing_function_beats_its_default() -> None:
    heads = [
        c.values["num_heads"] for c in found(MODEL, "def Train(num_heads=4):\n    ViT(num_heads=num_heads)", "Train(8)")
    ]
    assert heads[0] == 8


@pytest.mark.parametrize(
    "loop",
    [
        "for cfg in [{'num_heads': 2}, {'num_heads': 4}, {'num_heads': 8}]:\n    run(**cfg)",
        "for h in (2, 4, 8):\n    run(num_heads=h)",
        "for i, (h, _) in enumerate(zip([2, 4, 8], [1, 1, 1])):\n    run(h)",
        "configs = []\nconfigs.append(2)\nconfigs.append(4)\nconfigs.append(8)\n[run(h) for h in configs]",
        "named = {'a': {'num_heads': 2}, 'b': {'num_heads': 4}, 'c': {'num_heads': 8}}\n"
        "for k, v in named.items(): run(**v)",
    ],
)
def test_a_loop_over_settings_gives_one_candidate_each_the_last_first(loop: str) -> None:
    several = found(MODEL, f"def run(num_heads):\n    ViT(num_heads=num_heads)\n    torch.save(1, 'v.pth')\n{loop}")
    assert [c.values["num_heads"] for c in several if c.source.startswith("ViT(")][:3] == [8, 4, 2]


def test_the_call_that_was_saved_outranks_a_later_try_out() -> None:
    saved = "def Train():\n    m = ViT(num_heads=8)\n    torch.save(m.state_dict(), 'v.pth')\nTrain()"
    assert best(MODEL, saved, "print(ViT(num_heads=2))")["num_heads"] == 8


def test_a_model_that_a_saving_function_has_built_elsewhere_counts_as_saved() -> None:
    build = "def build():\n    return ViT(num_heads=8)\ndef Train():\n    m = build()\n    torch.save(m)\nTrain()"
    assert best(MODEL, build, "print(ViT(num_heads=2))")["num_heads"] == 8


def test_a_function_that_nothing_calls_is_not_what_the_top_level_saves() -> None:
    saved = "m = ViT(num_heads=8)\ntorch.save(m.state_dict(), 'v.pth')"
    assert best(MODEL, saved, "def unused():\n    ViT(num_heads=2)")["num_heads"] == 8


def test_within_a_kind_of_evidence_the_later_cell_comes_first_and_ranks_count_up() -> None:
    several = found(MODEL, "ViT(num_heads=2)", "ViT(num_heads=4)")
    assert [c.values["num_heads"] for c in several if c.source.startswith("ViT(")] == [4, 2]
    assert [c.rank for c in several] == list(range(len(several)))


def test_without_a_call_the_locals_of_any_function_and_the_constants_count() -> None:
    assert best(f"def Train():\n{indented(LOCALS)}") == FIVE
    assert best(LOCALS) == FIVE
    assert best("config = {'num_heads': 8, 'depth': 6}") == {"num_heads": 8, "depth": 6}
    assert best("class Config:\n    num_heads = 8\n    depth = 6") == {"num_heads": 8, "depth": 6}


def test_the_defaults_of_layers_are_no_evidence() -> None:
    assert all("cell 1" in c.source and "the text" in c.source for c in found(MODEL))


def test_a_commented_out_setting_is_found_and_ranks_below_code() -> None:
    several = found(MODEL, "def Train():\n    depth = 6\n    # num_heads = 8\n    fit()")
    assert several[0].values == {"depth": 6}
    assert ({"num_heads": 8}, "a comment in cell 2, line 3") in [(c.values, c.source) for c in several]


def test_a_commented_block_that_repeats_a_name_holds_two_settings() -> None:
    several = found("# depth = 2, num_heads = 4\n# depth = 6, num_heads = 8")
    assert [c.values for c in several] == [{"depth": 6, "num_heads": 8}, {"depth": 2, "num_heads": 4}]


def test_settings_in_a_cell_that_does_not_parse_are_found_as_text() -> None:
    assert {"depth": 6, "num_heads": 8} in [c.values for c in found("def Train(:\n    depth = 6\n    num_heads = 8")]


def test_an_expression_is_not_cut_short_to_its_first_number() -> None:
    assert found("# embed_dim = 2*32, depth = 3 - 1, max_depth = 5, num_heads = n") == []


@pytest.mark.parametrize(
    "table",
    [
        "| patch_size | embed_dim | depth | num_heads | mlp_ratio | acc |\n"
        "|---|---|---|---|---|---|\n| 4 | 64 | 6 | 8 | 2.0 | 91.2% |",
        "no. | Patch Size | `embed_dim` | **Depth** | heads | MLP ratio\n:-:|--|--|--|--|--\n1 | 4 | 64 | 6 | 8 | 2\n",
        "| setting | A |\n|--|--|\n| patch_size | 4 |\n| embed_dim | 64 |\n"
        "| depth | 6 |\n| num_heads | 8 |\n| mlp_ratio | 2.0 |",
    ],
)
def test_a_markdown_table_is_read_in_either_direction(table: str) -> None:
    assert best("<md>\n# Results\n\n" + table) == FIVE


def test_code_nested_too_deeply_costs_itself_alone() -> None:
    assert best(MODEL, "x = 1" + " + 1" * 600, "ViT(num_heads=8)", "x = 1" + " + 1" * 600)["num_heads"] == 8


def test_an_unfilled_table_is_no_evidence() -> None:
    assert found("<md>\n| patch_size | depth |\n|---|---|\n| ... | — |\n| | TODO |") == []


def test_the_source_tells_people_where_to_look() -> None:
    cells = [MODEL, f"# train\ndef Train():\n{indented(LOCALS)}\n    torch.save(1)", "\nmodel = ViT(\n    num_heads=3)"]
    sources = {c.source for c in found(*cells)}
    assert {"ViT(…) in cell 3, lines 2 to 3", "Train() in cell 2, lines 3 to 7"} <= sources


def test_a_method_is_shown_in_the_cell_that_holds_it_and_not_where_it_is_called() -> None:
    trainer = "\n\nclass Trainer:\n    def build(self):\n        return ViT(num_heads=3)"
    assert found(MODEL, trainer, "x = 1\nTrainer().build()")[0].source == "ViT(…) in build(), cell 2, line 5"


def test_equal_settings_are_given_once_with_their_best_rank() -> None:
    several = found(MODEL, f"{LOCALS}\n{CALL}", LOCALS)
    assert [c.rank for c in several if c.values == FIVE] == [0]


FIVE_NAMES = list(FIVE)
FIVE_VALUES = list(FIVE.values())


@pytest.mark.parametrize(
    "made",
    [
        f"settings = dict(zip({FIVE_NAMES}, {FIVE_VALUES}))",
        f"settings = dict({[list(pair) for pair in FIVE.items()]})",
        f"settings = dict(zip({FIVE_NAMES}, {[0, *FIVE_VALUES[1:]]}), {FIVE_NAMES[0]}={FIVE_VALUES[0]})",
        f"import json\nsettings = json.loads('{json.dumps(FIVE)}')",
        f"runs = [{{'depth': 1, 'acc': 80.5}}, {{**{FIVE}, 'acc': 90.5}}, {{'depth': 2, 'acc': 85}}]\n"
        "best = max(runs, key=lambda r: r['acc'])\nsettings = {k: v for k, v in best.items() if k != 'acc'}",
        f"runs = [({FIVE}, 90.5), ({{'depth': 1}}, 80.5)]\nsettings = sorted(runs, key=lambda r: r[1])[-1][0]",
        f"runs = [({FIVE}, 0.1), ({{'depth': 1}}, 0.2)]\nsettings = min(runs, key=lambda r: r[1])[0]",
    ],
)
def test_settings_that_a_small_expression_makes_are_followed(made: str) -> None:
    first = found(MODEL, made, "ViT(**settings)")[0]
    assert (first.values, first.source) == (FIVE, "ViT(…) in cell 3, line 1")  # and not the same numbers as text


@pytest.mark.parametrize("made", ["dict(load())", "dict([1, 2])", "dict(zip(load(), [1]))", "json.loads(load())"])
def test_a_mapping_that_cannot_be_told_is_not_taken_for_an_empty_one(made: str) -> None:
    assert best(MODEL, f"settings = {made}\nViT(num_heads=8, **settings)") == {"num_heads": 8}


@pytest.mark.parametrize(
    "choice",
    [
        "if torch.cuda.is_available():\n    depth = 6\nelse:\n    depth = 2",
        "if not torch.cuda.is_available():\n    depth = 2\nelse:\n    depth = 6",
        "depth = 6 if device.type == 'cuda' else 2",
        "depth = 2 if device.type != 'cuda' else 6",
        "depth = 2 if str(device) == 'cpu' else 6",
        "gpu = torch.cuda.is_available()\ndepth = 6 if gpu else 2",
    ],
)
def test_a_choice_by_the_gpu_gives_both_settings_those_with_one_first(choice: str) -> None:
    several = found(MODEL, choice, "ViT(depth=depth)")
    assert [c.values["depth"] for c in several if c.source.startswith("ViT(")] == [6, 2]


def test_a_notebook_is_read_twice_only_where_something_hangs_on_the_gpu() -> None:
    device = "device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')"
    once = read_settings(notebook(device, MODEL, LOCALS, CALL), WANTED, "ViT")
    assert len(once.calls) == 1
    twice = read_settings(notebook(device, MODEL, LOCALS, f"if device.type == 'cuda':\n    {CALL}"), WANTED, "ViT")
    assert [call.values for call in twice.calls] == [FIVE]
    own = "class T:\n    def device(self, name):\n        return {'cuda': 64, 'cpu': 32}[name]\ntorch = T()"
    chosen = CALL.replace(
        "embed_dim=embed_dim", "embed_dim=torch.device('cuda' if torch.cuda.is_available() else 'cpu')"
    )
    calls = read_settings(notebook(own, MODEL, LOCALS, chosen), WANTED, "ViT").calls
    assert [call.values["embed_dim"] for call in calls] == [32, 64]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "odd",
    [
        "def f(): f()\nf()",
        "def f(x): g(x)\ndef g(x): f(x); f(x); f(x)\nf(1)",
        "for a in [1]*10: pass\nx = 9**9**9**9\ndepth = 10**400\nViT(depth=depth, num_heads=float('inf'))",
        "depth = " + "9" * 400,
        "x = []\n" + "x = [x, x, x]\n" * 200 + "for a in x:\n  for b in a:\n    for c in b:\n      depth = c",
        "for a in [0] + [1]: pass\n"
        + "l = ["
        + "1," * 60
        + "]\n"
        + "".join(" " * i + "for i in l:\n" for i in range(9))
        + " " * 9
        + "f()",
        "d = {}\nd['a'] = d\nViT(**d)\nx = {**d, **d}\nd |= 3\nlambda: ViT()\n(yield)",
        "a, *b = c\na.b.c[d] = 3\ndepth: int\ndel depth\nmatch x:\n    case 1: depth = 3",
        "x = 1" + " + 1" * 900 + "\nx = f(" + "f(" * 80 + ")" * 81 + "\nx = a" + ".b" * 900,
        "depth = True\nnum_heads = 'eight'",
        "x = " + "(" * 90 + "1" + ")" * 90 + "\ny = " + "-" * 900 + "1",
        "class C(C): depth = C\nC(C)(C).depth = C\nC.C = C",
        "f(*x, **y)\nViT(*x)\nViT(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)",
    ],
)
def test_odd_code_never_raises_and_never_takes_long(odd: str) -> None:
    for candidate in found(MODEL, odd):
        assert all(type(value) in (int, float) for value in candidate.values.values())


fragments = [
    *[
        "depth",
        "=",
        "ViT(",
        ")",
        "num_heads",
        "8",
        "\n",
        "    ",
        "for ",
        " in ",
        "[",
        "]",
        "{",
        "}",
        ":",
        "**",
        "*",
        ",",
    ],
    *["def f(", "class C", "return ", "f(", ".", "'a'", "#", "|", "---", "if ", "else", "lambda", "<md>\n", "yield "],
]


@hypothesis_settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(st.sampled_from(fragments), max_size=25).map("".join), max_size=3))
def test_random_code_never_raises(cells: list[str]) -> None:
    assert [c.rank for c in found(*cells)] == list(range(len(found(*cells))))
