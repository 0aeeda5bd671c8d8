"""The slice keeps what the wanted names need, and nothing that trains, downloads or plots."""

from __future__ import annotations

import traceback
import unicodedata
from typing import Any

import pytest

from grader.notebook import Cell, Notebook, Program
from grader.program import definition_fingerprint, slice_program


def notebook(*cells: str) -> Notebook:
    return Notebook(name="n.ipynb", cells=tuple(Cell(index=i, kind="code", source=s) for i, s in enumerate(cells)))


def sources(program: Program) -> list[str]:
    return [entry.source for entry in program.entries]


def run(program: Program) -> dict[str, Any]:
    """As the worker does: each entry on its own, under its own cell and line."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for entry in program.entries:
        text = "\n" * (entry.line - 1) + entry.source
        exec(compile(text, f"cell {entry.cell + 1}", "exec", dont_inherit=True), namespace)
    return namespace


def kept(wanted: str, *cells: str) -> list[str]:
    return sources(slice_program(notebook(*cells), [wanted]))


# What is needed.


def test_a_class_brings_its_imports_constants_and_helpers_and_leaves_the_rest() -> None:
    assert kept(
        "A",
        "import math\nimport os\nfrom collections import deque, Counter",
        "SCALE = 3\nUNUSED = 4\ndef helper(x): return math.sqrt(x)\ndef unused(): pass",
        "class A:\n    def f(self): return helper(SCALE) + len(deque())",
        "a = A()\nprint(a.f())\nfor _ in range(10):\n    a.f()",
    ) == [
        "import math",
        "from collections import deque, Counter",
        "SCALE = 3",
        "def helper(x): return math.sqrt(x)",
        "class A:\n    def f(self): return helper(SCALE) + len(deque())",
    ]


@pytest.mark.parametrize(
    "use",
    [
        "class A(X): pass",
        "class A(metaclass=X): pass",
        "@X\nclass A: pass",
        "class A:\n    y = X",
        "class A:\n    X = X",
        "class A:\n    def f(self, a=X): pass",
        "class A:\n    def f(self, *, a=X): pass",
        "class A:\n    def f(self, a: X): pass",
        "class A:\n    def f(self) -> X: pass",
        "class A:\n    @X\n    def f(self): pass",
        "class A:\n    X = 1\n    def f(self): return X",
        "class A:\n    def f(self):\n        global X\n        X = X + 1",
        "class A:\n    f = lambda self, y: y + X",
        "class A:\n    def f(self): return [X for y in z if y]",
        "class A:\n    def f(self): return (lambda: X)()",
        "class A:\n    def f(self):\n        def g(): return X\n        return g",
        "class A:\n    def f(self): return f'{X}'",
        "class A:\n    def f(self, v):\n        match v:\n            case X.y: pass",
        "A = [v for v in X]",
        "A = X",
        "A: X = 3",
        "def A(): return X",
        "async def A(): return X",
    ],
)
def test_a_name_is_needed_wherever_the_code_reads_it(use: str) -> None:
    assert "X = int" in kept("A", "X = int", use)


@pytest.mark.parametrize(
    "use",
    [
        "def A(X): return X",
        "def A(*X, **Y): return X",
        "def A():\n    X = 1\n    return X",
        "def A():\n    import X\n    return X",
        "def A():\n    for X in (): pass\n    return X",
        "def A():\n    with a() as X: pass\n    return X",
        "def A():\n    try: pass\n    except E as X: return X",
        "def A():\n    if (X := 1): return X",
        "def A():\n    def X(): pass\n    return X",
        "def A():\n    X = 1\n    return lambda: X",
        "def A():\n    X = 1\n    def g():\n        nonlocal X\n        X = 2",
        "def A(v):\n    match v:\n        case [X, *Y]: return X, Y",
        "def A(v):\n    match v:\n        case {'a': 1, **X}: return X",
        "A = [X for X in ()]",
        "A = {X: Y for X, Y in ()}",
        "A = lambda X: X",
        "class A:\n    X = 1\n    y = X",
        "class A:\n    def f(self): return self.X",
    ],
)
def test_a_local_name_is_not_a_need(use: str) -> None:
    assert kept("A", "X = int\nY = int", use) == [use]


def test_the_last_binding_wins_as_after_restart_and_run_all() -> None:
    assert kept("A", "class A: x = 1", "class A: x = 2") == ["class A: x = 2"]


def test_a_constant_defined_below_the_class_that_uses_it_when_called_is_kept() -> None:
    program = slice_program(notebook("class A:\n    def f(self): return device", "device = 'cpu'"), ["A"])
    assert run(program)["A"]().f() == "cpu"


def test_a_base_class_is_the_binding_before_the_class_and_a_called_name_the_last() -> None:
    program = slice_program(
        notebook(
            "class Base: tag = 'early'", "class A(Base):\n    def f(self): return Base", "class Base: tag = 'late'"
        ),
        ["A"],
    )
    built = run(program)
    assert (built["A"].tag, built["A"]().f().tag) == ("early", "late")


def test_a_base_class_that_is_only_defined_below_is_taken_from_there() -> None:
    assert kept("A", "class A(Base): pass", "class Base: pass") == ["class A(Base): pass", "class Base: pass"]


def test_what_a_helper_needs_when_it_is_called_at_definition_time_is_the_binding_before() -> None:
    program = slice_program(notebook("n = 1\ndef f(): return n", "A = f()", "n = 2"), ["A"])
    assert run(program)["A"] == 1


def test_what_a_base_class_reads_when_its_methods_are_called_is_the_last_binding() -> None:
    program = slice_program(
        notebook("n = 1\nclass Base:\n    def f(self): return n", "class A(Base): pass", "n = 2"), ["A"]
    )
    assert run(program)["A"]().f() == 2


def test_a_function_inside_a_block_reads_the_last_binding_too() -> None:
    program = slice_program(notebook("if True:\n    X = 1\n    def A(): return X", "X = 2"), ["A"])
    assert run(program)["A"]() == 2


def test_a_walrus_in_a_comprehension_binds_outside_of_it() -> None:
    assert run(slice_program(notebook("squares = [last := v * v for v in (1, 2)]", "A = last"), ["A"]))["A"] == 4


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (("A = 1", "A = A + 1"), 2),
        (("A = 1", "A += 1", "A *= 5"), 10),
        (("class A: x = 1", "class A(A): y = 2", "A = A.x + A.y"), 3),
        (("A = 1", "if False: A = 2"), 1),
        (("A = 1", "if True: A = 2"), 2),
        (("A = 1", "try:\n    import nothing_of_this_name\n    A = 2\nexcept ImportError: pass"), 1),
        (("A = 1", "for _ in (): A = 2"), 1),
    ],
)
def test_a_binding_that_builds_on_an_earlier_one_brings_it(cells: tuple[str, ...], value: int) -> None:
    assert run(slice_program(notebook(*cells), ["A"]))["A"] == value


@pytest.mark.parametrize(
    "whole",
    ["if c: A = 2\nelse: A = 3", "try: A = 2\nexcept E: A = 3", "with c: A = 2", "try: A = 1\nexcept E: raise"],
)
def test_a_binding_on_every_branch_needs_no_earlier_one(whole: str) -> None:
    assert kept("A", "A = 1", whole) == [whole]


def test_assignments_to_attributes_and_items_of_a_needed_name_are_kept_and_bare_calls_are_not() -> None:
    assert kept(
        "A",
        "class A: pass",
        "def forward(self): return 1",
        "A.forward = forward\nA.table['x'] = 1\nB.forward = forward",
        "A.check(3)\nprint(A.x)\nA()\nA",
    ) == ["class A: pass", "def forward(self): return 1", "A.forward = forward", "A.table['x'] = 1"]


@pytest.mark.parametrize(
    "filling",
    [
        "A.update(x=1)",
        "A['x'].append(1)",
        "A.rows.extend([1])",
        "A.insert(0, 1)",
        "A.add(1)",
        "A.setdefault('x', 1)",
        "A.sort()",
        "setattr(A, 'x', 1)",
        "setattr(A.inner, 'x', 1)",
        "for k in range(5):\n    A.append(10**k)",
        "for k in range(5):\n    if k:\n        setattr(A, str(k), k)",
        "with open('f'):\n    A.append(1)",
        "@add_to_class(A)\ndef f(self): pass",
        "@table.register(kind=A)\nclass B: pass",
    ],
)
def test_what_fills_a_needed_name_is_kept_and_only_for_it(filling: str) -> None:
    assert kept("A", "A = make()\nC = 1", filling) == ["A = make()", filling]
    assert kept("C", "A = make()\nC = 1", filling) == ["C = 1"]


@pytest.mark.parametrize(
    "work",
    [
        "for x in data:\n    loss.backward()\n    A.append(loss.item())",
        "for x in data:\n    A.append(x)\n    print(x)",
        "for x in data:\n    time.sleep(1)\n    A.append(x)",
        "for x in data:\n    A.append(train_one_epoch(x))",
        "for x in data:\n    loss = model.fit(x)\n    A.append(loss)",
        "while True:\n    A.append(1)",
        "if A:\n    A.append(1)\n    Train()",
        "A.append(Train())",
        "A.update(model.fit(data))",
        "@torch.autocast(A)\ndef step(): return loader",
        "@wraps(A)\ndef step(): return loader",
        "@A\ndef step(): return loader",
    ],
)
def test_work_that_fills_a_needed_name_by_the_way_is_left_out(work: str) -> None:
    assert kept("A", "A = []", "data = loader = model = loss = 1", work) == ["A = []"]


def test_a_loop_that_fills_a_table_binds_its_names_and_one_that_works_does_so_as_the_last_resort() -> None:
    filling = "for A in (1, 2):\n    found.append(A)"
    assert kept("A", "found = []", "A = 0", filling) == ["found = []", "A = 0", filling]
    assert kept("A", "found = []", "A = 0", filling + "\n    Train()") == ["A = 0"]


def test_methods_that_are_added_later_are_there() -> None:
    program = slice_program(
        notebook(
            "def add_to(cls):\n    return lambda f: setattr(cls, f.__name__, f)",
            "class A: pass",
            "@add_to(A)\ndef f(self): return one",
            "def g(self): return 2\nsetattr(A, 'g', g)",
            "one = 1",
        ),
        ["A"],
    )
    made = run(program)["A"]()
    assert (made.f(), made.g()) == (1, 2)


CONFIGURE = "def configure():\n    global BASE\n    BASE = 2\n    print(BASE)"


def test_the_call_of_a_function_that_sets_globals_binds_them() -> None:
    cells = ("BASE = 1", CONFIGURE, "configure()", "def A(): return BASE")
    program = slice_program(notebook(*cells), ["A"])
    assert [entry.names for entry in program.entries] == [("BASE",), ("configure",), ("BASE",), ("A",)]
    assert run(program)["A"]() == 2
    assert kept("A", *cells[1:]) == [CONFIGURE, "configure()", "def A(): return BASE"]


@pytest.mark.parametrize(
    "body",
    [
        "BASE = fit(model)",
        "BASE = 2\n    Train()",
        "for x in data:\n        BASE = x\n        x.backward()",
        "while True: BASE = 1",
        "local = 1",
    ],
)
def test_a_function_that_works_is_not_called_for_the_globals_that_it_sets(body: str) -> None:
    source = f"def main():\n    global BASE\n    {body}"
    assert kept("A", "BASE = 1", source, "main()", "def A(): return BASE") == ["BASE = 1", "def A(): return BASE"]


def test_a_function_that_was_defined_anew_binds_what_the_new_one_sets() -> None:
    assert kept("A", CONFIGURE, "def configure(): pass", "configure()", "def A(): return BASE") == [
        "def A(): return BASE"
    ]


def test_an_alteration_of_a_binding_that_was_replaced_is_left_out() -> None:
    assert kept("A", "class A: pass", "A.x = 1", "class A: y = 1") == ["class A: y = 1"]


# What is left out.


def test_bare_calls_asserts_and_endless_loops_are_never_kept() -> None:
    assert kept(
        "A",
        "import os\nassert os.environ['CONDA_DEFAULT_ENV'] == 'ai'",
        "class A: pass",
        "while True: pass",
        "Train()\nprint(A)\ndel A",
    ) == ["class A: pass"]


def test_a_training_loop_that_also_binds_a_name_is_kept_only_as_the_last_resort() -> None:
    loop = "for epoch in range(100):\n    A = epoch\n    train()"
    assert kept("A", "A = 1", loop) == ["A = 1"]
    assert loop in kept("A", loop)


def test_a_loop_that_only_assigns_fills_a_table_and_is_kept() -> None:
    program = slice_program(notebook("vocab = {}", "for i in range(3): vocab[i] = i", "def A(): return vocab"), ["A"])
    assert run(program)["A"]() == {0: 0, 1: 1, 2: 2}


def test_a_builtin_that_is_overwritten_further_down_stays_the_builtin() -> None:
    assert kept("A", "def A(): return max(1, 2)", "max = 0") == ["def A(): return max(1, 2)"]
    assert kept("A", "max = 0", "def A(): return max") == ["max = 0", "def A(): return max"]


def test_the_body_of_a_main_guard_counts_as_top_level_code() -> None:
    program = slice_program(
        notebook(
            "x = 1\nif __name__ == '__main__':\n    a = 1; b = '''\n  2'''\n    class A:\n        y = b\n    Train()"
        ),
        ["A"],
    )
    assert run(program)["A"].y == "\n  2"
    assert [(e.line, e.names) for e in program.entries] == [(3, ("b",)), (4, ("A",))]


# Imports.


def test_imports_of_submodules_come_with_their_root() -> None:
    assert kept("A", "import os\nimport os.path\nimport sys", "def A(): return os", "import os.path as p") == [
        "import os",
        "import os.path",
        "def A(): return os",
    ]


def test_a_star_import_is_kept_only_when_a_name_stays_unexplained() -> None:
    assert kept("A", "from math import *", "def A(): return len([])") == ["def A(): return len([])"]
    assert kept("A", "from math import *", "def A(): return sqrt(4)") == [
        "from math import *",
        "def A(): return sqrt(4)",
    ]


def test_future_imports_come_first_and_are_always_kept() -> None:
    assert kept("A", "class A: pass", "from __future__ import annotations")[0] == "from __future__ import annotations"


def test_an_import_inside_try_is_kept_whole() -> None:
    guarded = "try:\n    import fast as m\nexcept ImportError:\n    import math as m"
    assert kept("A", guarded, "def A(): return m") == [guarded, "def A(): return m"]


def test_a_tuple_assignment_is_kept_whole() -> None:
    program = slice_program(notebook("a, (b, *c) = 1, (2, 3)", "def A(): return c"), ["A"])
    assert program.entries[0].names == ("a", "b", "c")


# Magics.


def test_magics_are_neutralised_and_the_lines_stay() -> None:
    program = slice_program(
        notebook(
            "%env CUDA_VISIBLE_DEVICES = 0\n!pip install \\\n  it's\nx = 1\nfiles = !ls\nt = %timeit -o x\nx?\n??x\n"
            "s = '''\n%not a magic\n'''\nif x:\n    !ls\n    %cd ..\ny = (5\n     % 3)\nA = [x, files, t, s, y]"
        ),
        ["A"],
    )
    assert run(program)["A"] == [1, [], None, "\n%not a magic\n", 2]
    assert [e.line for e in program.entries] == [4, 5, 6, 9, 15, 17]


@pytest.mark.parametrize("magic", ["%%time", "%%capture out", "\n%%time\n%%capture"])
def test_the_body_of_a_timing_or_capturing_cell_is_code(magic: str) -> None:
    program = slice_program(notebook(f"{magic}\nA = 1"), ["A"])
    assert [(e.source, e.line) for e in program.entries] == [("A = 1", magic.count("\n") + 2)]


@pytest.mark.parametrize("magic", ["%%bash", "%%writefile a.py", "%%html", "%%javascript", "%%"])
def test_the_body_of_another_cell_magic_is_no_code(magic: str) -> None:
    assert slice_program(notebook(f"{magic}\nA = 1"), ["A"]).missing == ("A",)


def test_a_cell_that_is_indented_whole_is_read_as_ipython_does() -> None:
    assert kept("A", "    A = 1\n    B = 2") == ["A = 1"]


# Broken code.


def test_a_syntax_error_costs_its_own_class_alone_even_in_one_cell() -> None:
    program = slice_program(
        notebook(
            "import math\n\nclass A:\n    x = math.pi\n\n@final\nclass B:\n    def f(self:\n        return 1\n"
            "    y = [1,\n\n# about C\nclass C:\n    '''a\ntext at the margin\n'''\n    z = (1,\n2\n)\n"
            "if A:\n    D = 1\nelse:\n    D = 2\n"
        ),
        ["A", "B", "C", "D"],
    )
    assert [entry.names for entry in program.entries] == [("math",), ("A",), ("C",), ("D",)]
    [problem] = program.problems
    assert (problem.names, problem.cell, problem.line, problem.text) == (("B",), 0, 9, "return 1")
    assert program.missing == ()


@pytest.mark.parametrize(
    ("broken", "line", "text"),
    [
        ("class B:\n    def f(self)\n        pass", 2, "def f(self)"),
        ("class B:\n    def f(self):\n    return 1", 3, "return 1"),
        ("class B:\n    x = = 1", 2, "x = = 1"),
        ("class B:\n    def f(a, a): pass", 2, "def f(a, a): pass"),
        ("class B:\n    return 1", 2, "return 1"),
        ("def B():\n    print 'hello'", 2, "print 'hello'"),
        ("B = 'unclosed", 1, "B = 'unclosed"),
    ],
)
def test_a_problem_points_to_the_line_that_is_wrong(broken: str, line: int, text: str) -> None:
    program = slice_program(notebook("", "a = 1\n" + broken + "\nclass C: pass"), ["B", "C"])
    assert [entry.names for entry in program.entries] == [("C",)]
    [problem] = program.problems
    assert (problem.cell, problem.line, problem.text, problem.names) == (1, line + 1, text, ("B",))
    assert problem.message


def test_a_broken_piece_that_nothing_needs_is_no_problem() -> None:
    assert slice_program(notebook("A = 1", "def plot(:\n  pass"), ["A"]).problems == ()


def test_a_broken_helper_of_a_wanted_class_is_a_problem() -> None:
    program = slice_program(notebook("def helper(:\n  pass", "def A(): return helper()"), ["A"])
    assert [problem.names for problem in program.problems] == [("helper",)]


def test_a_broken_draft_above_a_good_definition_is_no_problem_and_one_below_is() -> None:
    assert slice_program(notebook("class A(: pass", "class A: pass"), ["A"]).problems == ()
    program = slice_program(notebook("class A: pass", "class A(: pass"), ["A"])
    assert (len(program.entries), len(program.problems), program.missing) == (1, 1, ())


def test_a_decorator_stays_with_its_definition_beside_broken_code() -> None:
    assert kept("A", "class B(:\n    pass\n@staticmethod\n@classmethod\ndef A(): pass") == [
        "@staticmethod\n@classmethod\ndef A(): pass"
    ]


def test_magics_in_a_cell_with_a_broken_class_do_not_hide_the_good_one() -> None:
    program = slice_program(notebook("!echo it's (\nclass B(:\n    pass\n%cd x\nclass A:\n    !ls\n    x = 1"), ["A"])
    assert run(program)["A"].x == 1


def test_a_wanted_name_that_no_cell_defines_is_missing() -> None:
    assert slice_program(notebook("A = 1"), ["A", "Z"]).missing == ("Z",)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 150_000,
        "-" * 150_000 + "1",
        "a" + ".b" * 70_000,
        "[a,\n" * 30_000,
        "x = = 3\n" * 20_000,
        "A = 1\0",
        "A" * 300_000,
    ],
)
def test_a_cell_made_to_break_parsers_costs_itself_alone(bomb: str) -> None:
    assert sources(slice_program(notebook(bomb, "A = 1"), ["A"])) == ["A = 1"]


@pytest.mark.timeout(60)
def test_ten_thousand_branches_are_followed_to_the_first_binding() -> None:
    program = slice_program(notebook("A = 1\n" + "if A: A = 2\n" * 10_000), ["A"])
    assert len(program.entries) == 10_001


# Stand-ins.


def test_a_stand_in_takes_the_place_of_the_last_binding_and_drops_what_only_that_needed() -> None:
    program = slice_program(
        notebook("import os\nhelp_ = 1", "class M:\n    x = help_, os", "class A:\n    m = M", "M.x = 2\nM.f = os"),
        ["A"],
        {"M": "class M:\n    x = 'ours'"},
    )
    assert sources(program) == ["class M:\n    x = 'ours'", "class A:\n    m = M"]
    assert [(e.cell, e.line) for e in program.entries] == [(1, 1), (2, 1)]
    assert run(program)["A"].m.x == "ours"


def test_an_earlier_binding_that_is_needed_by_itself_stays_beside_the_stand_in() -> None:
    program = slice_program(
        notebook("class M: x = 1", "class A(M): pass", "class M: x = 2"), ["A"], {"M": "class M: x = 3"}
    )
    assert sources(program) == ["class M: x = 1", "class A(M): pass", "class M: x = 3"]


@pytest.mark.parametrize("other", ["", "class M(:\n    pass"])
def test_a_stand_in_for_a_missing_or_broken_class_follows_the_imports(other: str) -> None:
    program = slice_program(
        notebook("%env X=1\nimport os\nassert os\nimport sys", "class A(M):\n    y = os, sys", other),
        ["A", "M"],
        {"M": "class M: x = 1"},
    )
    assert sources(program) == ["import os", "import sys", "class M: x = 1", "class A(M):\n    y = os, sys"]
    assert (program.missing, program.problems) == ((), ())


def test_a_statement_that_binds_more_than_the_replaced_name_stays_and_the_stand_in_follows_it() -> None:
    program = slice_program(notebook("M, N = 1, 2", "A = M, N"), ["A"], {"M": "M = 'ours'"})
    assert run(program)["A"] == ("ours", 2)


# Places and names.


def test_tracebacks_point_into_the_students_own_cell() -> None:
    program = slice_program(
        notebook("", "%env X=1\n\n@staticmethod\ndef g(): pass\n\n\nclass A:\n    def f(self):\n        return 1 / 0"),
        ["A", "g"],
    )
    assert [(e.cell, e.line) for e in program.entries] == [(1, 3), (1, 7)]
    with pytest.raises(ZeroDivisionError) as raised:
        run(program)["A"]().f()
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == ("cell 2", 9)


def test_windows_line_ends_and_form_feeds_do_not_shift_lines() -> None:
    program = slice_program(notebook("x = 1\r\n\x0c\r\ny = '\u2028'\rA = y"), ["A"])
    assert [(e.source, e.line) for e in program.entries] == [("y = '\u2028'", 3), ("A = y", 4)]


def test_identifiers_are_compared_as_python_compares_them() -> None:
    decomposed = unicodedata.normalize("NFD", "모델")
    program = slice_program(
        notebook(f"{decomposed} = 1", "def A(): return 모델", "class ﬁne(:"), ["A", decomposed, "fine"]
    )
    assert [e.names for e in program.entries] == [("모델",), ("A",)]
    assert program.missing == ()


def test_korean_text_on_the_line_does_not_cut_the_source() -> None:
    assert kept("A", "이름 = '가나다'; A = '라마'; B = 3  # 주석") == ["A = '라마'"]


# Fingerprints.


def test_a_definition_is_the_same_whatever_its_comments_formatting_and_docstrings() -> None:
    template = notebook("class A:\n    def f(self):\n        # TO DO\n        return None")
    typed = notebook(
        "x = 1", "class A :\n    '''Mine.'''\n    def f( self ):\n        '''Also.'''\n        return (None)"
    )
    assert definition_fingerprint(template, "A") == definition_fingerprint(typed, "A") is not None


def test_a_changed_definition_has_another_fingerprint_and_the_last_one_counts() -> None:
    template = notebook("class A:\n    x = 1")
    assert definition_fingerprint(template, "A") != definition_fingerprint(notebook("class A:\n    x = 2"), "A")
    assert definition_fingerprint(template, "A") != definition_fingerprint(
        notebook("class A:\n    x = 1", "class A:\n    x = 2"), "A"
    )


def test_an_absent_definition_has_no_fingerprint() -> None:
    assert definition_fingerprint(notebook("a = 1"), "A") is None
