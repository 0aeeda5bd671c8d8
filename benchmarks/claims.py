"""What grader.integrity.claims finds of notebooks that claim what their code or their weights do not bear out.

    python benchmarks/claims.py

Honest notebooks are made of the solved one by lot: other words in what is printed, another number of epochs, other
settings and accuracies, bars and warnings of libraries between the lines; code, output and record always agree. Then
twenty of each kind in which one of them was changed afterwards.
"""

from __future__ import annotations

import copy
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import nbformat
from nbformat import NotebookNode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from conftest import PART2, QUICK, HandIn
from copies import the_assignment, the_ground

from grader import bank
from grader.flags import accuracy_flags
from grader.integrity.claims import claims, logged
from grader.integrity.exhibit import Exhibit, training_of
from grader.integrity.facts import compared
from grader.limits import worker_limits
from grader.notebook import read_notebook
from grader.pipeline import Options, grade
from grader.records import CheckpointResult, Record, SubmissionInfo
from grader.sandbox.tiers import open_sandbox

PLANTED, CLASS = 20, 200
EPOCH = ("epoch", "Epoch", "EPOCH", "에폭", "Epoch no.")
LOSS = ("loss", "Loss", "avg. loss", "손실", "train_loss", "cross-entropy loss")
TRAINING = ("training accuracy", "train acc", "Training Acc.", "학습 정확도", "accuracy on the training set")
TESTED = ("Test accuracy", "Test Acc", "테스트 정확도", "Accuracy on the test set", "test_acc", "Final test accuracy")
# How the last line is printed; all print the same.
FORMS = (
    "print(f'{label}: {{value:.2f}}%')",
    "print('{label}: %.2f%%' % value)",
    "print('{label}: {{:.2f}}%'.format(value))",
    "print('{label}:', f'{{value:.2f}}%')",
    "print('{label}: ' + str(round(value, 2)) + '%')",
    "what = '{label}'\n    print(f'{{what}}: {{value:.2f}}%')",
    "print('\\n'.join([f'{label}: {{value:.2f}}%']))",
)
REPORT = "              precision    recall  f1-score   support\n\n    accuracy           0.91     10000"
VALUES: dict[str, tuple[float, ...]] = {
    "patch_size": (2, 4, 7, 14), "embed_dim": (32, 48, 64, 96, 128, 192), "depth": (2, 3, 4, 5, 6, 8),
    "num_heads": (2, 4, 8, 16), "mlp_ratio": (1.0, 2.0, 3.0, 4.0),
}  # fmt: skip
BETWEEN = (
    "100%|██████████| 469/469 [00:12<00:00, 37.41it/s, loss=0.53]",
    "/usr/lib/python3/dist-packages/torch/optim/lr_scheduler.py:62: UserWarning: The verbose loss parameter is gone",
    "Epoch 3:  45%|████▌     | 211/469 [00:05<00:06, 40.1it/s]",
)


@dataclass(frozen=True)
class Printed:
    """What a notebook prints, and what its code says of it."""

    epoch: str
    loss: str
    training: str
    tested: str
    epochs: int
    accuracy: float
    settings: dict[str, float]
    seed: int
    form: str = FORMS[0]
    report: bool = False  # of scikit-learn, below


def drawn(lot: random.Random) -> Printed:
    return Printed(
        epoch=lot.choice(EPOCH), loss=lot.choice(LOSS), training=lot.choice(TRAINING), tested=lot.choice(TESTED),
        epochs=lot.choice((5, 10, 12, 15, 20, 25, 30, 50, 60, 75)), accuracy=round(lot.uniform(84, 92), 2),
        settings={name: lot.choice(values) for name, values in VALUES.items()},
        seed=lot.randrange(10**9), form=lot.choice(FORMS), report=lot.random() < 0.2,
    )  # fmt: skip


@cache
def executed() -> NotebookNode:
    path = the_assignment().folder / "notebooks/solved" / PART2
    return nbformat.read(path, as_version=4)


def notebook_of(code: Printed, output: Printed) -> NotebookNode:
    """The solved notebook with the code of one and the outputs of another; honest where both are one."""
    made = copy.deepcopy(executed())
    for cell in made.cells:
        if cell.cell_type == "code":
            source = cell.source
            for old, new in (
                ("  epoch {epoch", f"  {code.epoch} {{epoch"),
                ("}  loss {", f"}}  {code.loss} {{"),
                ("'training accuracy {", f"'{code.training} {{"),
                ("print(f'Test accuracy: {100 * correct / total:.2f}%')", tested(code)),
                ("epochs=40", f"epochs={code.epochs}"),
            ):
                source = source.replace(old, new)
            if "def Train()" in source:
                for name, value in code.settings.items():
                    source = re.sub(rf"(?m)^    {name} = .*$", f"    {name} = {value}", source)
                cell.outputs = [NotebookNode(output_type="stream", name="stdout", text=log(output))]
            elif "def run_experiments" in source:
                text = cell.outputs[0]["text"].replace("  epoch ", f"  {output.epoch} ")
                text = text.replace("  loss ", f"  {output.loss} ").replace("training accuracy", output.training)
                cell.outputs = [NotebookNode(output_type="stream", name="stdout", text=text)]
            cell.source = source
    return made


def tested(code: Printed) -> str:
    last = "\n    print(classification_report(labels, predicted))" if code.report else ""
    return "value = 100 * correct / total\n    " + code.form.format(label=code.tested) + last


def log(printed: Printed) -> str:
    lot = random.Random(printed.seed)
    lines = ["Training on cpu"]
    for number in range(1, printed.epochs + 1):
        done = number / printed.epochs
        loss, right = 1.6 - 0.9 * done**0.5 + lot.gauss(0, 0.01), 45 + 47 * done**0.4 + lot.gauss(0, 0.2)
        if lot.random() < 0.1:
            lines.append(lot.choice(BETWEEN))
        lines.append(
            f"final  {printed.epoch} {number:2d}/{printed.epochs}  {printed.loss} {loss:.4f}  "
            f"{printed.training} {right:.2f}%"
        )
    last = f"{printed.tested}: {printed.accuracy:.2f}%"
    return "\n".join([*lines, last, REPORT if printed.report else "", ""])


def a_record(printed: Printed, lot: random.Random) -> Record:
    """Of weights with these settings, that reach what was printed but for what another machine rounds otherwise."""
    found = CheckpointResult(
        accuracy=printed.accuracy / 100 + lot.gauss(0, 2e-4), settings=printed.settings, settings_source="a comment"
    )
    return Record(
        submission=SubmissionInfo(student_id="1", archive="1.zip", sha256=""), assignment="a", score=0, max_score=0,
        criteria=(), checkpoint=found,
    )  # fmt: skip


def found_in(made: NotebookNode, record: Record) -> list[str]:
    spec = the_assignment().config.checkpoint
    assert spec is not None
    notebook, stub = bank.as_read("part2", made), the_ground().stubs[spec.notebook]
    assert record.checkpoint.accuracy is not None
    flags = tuple(accuracy_flags(spec.notebook, notebook, stub, 100 * record.checkpoint.accuracy))
    record = msgspec.structs.replace(record, flags=flags)
    return [claim.kind for claim in claims(notebook, stub, spec.settings, spec.class_name, record)]


# ---- what was changed afterwards ------------------------------------------------------------------------------------

Change = Callable[[Printed, random.Random], Printed]


def changed(**how: Callable[[Any, random.Random], Any]) -> Change:
    """Some of what is printed, each in its way."""
    return lambda printed, lot: replace(
        printed, **{name: change(getattr(printed, name), lot) for name, change in how.items()}
    )


def another(*of: Any) -> Callable[[Any, random.Random], Any]:
    return lambda value, lot: lot.choice([one for one in of if one != value])


def other_settings(settings: dict[str, float], lot: random.Random) -> dict[str, float]:
    names = lot.sample(list(settings), lot.choice((1, 1, 2, 3)))
    return {**settings, **{name: another(*VALUES[name])(settings[name], lot) for name in names}}


IN_OUTPUT: dict[str, Change] = {
    "accuracy raised by 0.6 to 8 points": changed(accuracy=lambda value, lot: value + lot.uniform(0.6, 8)),
    "accuracy raised by 0.1 to 0.4 points": changed(accuracy=lambda value, lot: value + lot.uniform(0.1, 0.4)),
    "another's log, in other words": lambda _, lot: drawn(lot),
    "a log of another number of epochs": changed(epochs=another(5, 10, 12, 15, 20, 25, 30, 50, 60, 75)),
}
IN_CODE: dict[str, Change] = {
    "one word renamed in the code": lambda printed, lot: lot.choice(
        [changed(loss=another(*LOSS)), changed(training=another(*TRAINING)), changed(tested=another(*TESTED))]
    )(printed, lot),
    "epochs changed in the code": changed(epochs=another(5, 10, 12, 15, 20, 25, 30, 50, 60, 75)),
    "settings changed in the code": changed(settings=other_settings),
}


def main() -> None:
    lot = random.Random(1)
    kinds: Counter[str] = Counter()
    told = 0
    for _ in range(CLASS):
        printed = drawn(lot)
        found = found_in(notebook_of(printed, printed), a_record(printed, lot))
        kinds.update(found)
        told += bool(found)
    print(f"{CLASS} honest notebooks: {told} with claims {dict(kinds)}", flush=True)
    for title, changes in (("output", IN_OUTPUT), ("code", IN_CODE)):
        for kind, change in changes.items():
            kinds.clear()
            told = 0
            for _ in range(PLANTED):
                printed = drawn(lot)
                other = change(printed, lot)
                made = notebook_of(other, printed) if title == "code" else notebook_of(printed, other)
                found = found_in(made, a_record(printed, lot))
                kinds.update(found)
                told += bool(found)
            print(f"{kind:40} found {told:2} of {PLANTED}  {dict(kinds)}", flush=True)
    of_logs(lot)
    of_shapes(lot)


def of_logs(lot: random.Random) -> None:
    """The log of one in the notebook of another, who trains with other settings; and a class that shares nothing."""

    def exhibit(number: int, made: NotebookNode) -> Exhibit:
        notebook = bank.as_read("part2", made)
        training = training_of(notebook, the_ground().handouts["part2"])
        return Exhibit(str(number), {}, None, training, logged(notebook), ())

    printed = [drawn(lot) for _ in range(CLASS)]
    class_ = [exhibit(number, notebook_of(one, one)) for number, one in enumerate(printed)]
    print(f"logs of {CLASS} honest notebooks: {len(compared(class_, CLASS, {}, 0))} findings", flush=True)
    for kind, change in (
        ("verbatim", changed()),
        ("with another accuracy", IN_OUTPUT["accuracy raised by 0.6 to 8 points"]),
    ):
        donors = lot.sample(range(CLASS), PLANTED)
        planted = [
            exhibit(CLASS + n, notebook_of(drawn(lot), change(printed[donor], lot))) for n, donor in enumerate(donors)
        ]
        found = {one.students for one in compared([*class_, *planted], CLASS + PLANTED, {}, 0)}
        hits = sum((str(donor), str(CLASS + n)) in found for n, donor in enumerate(donors))
        print(f"another's log, {kind:25} found {hits:2} of {PLANTED}, others {len(found) - hits}", flush=True)


def of_shapes(lot: random.Random) -> None:
    """Graded for true: the reference's weights with notebooks whose settings they do not fit."""
    assignment = the_assignment()
    spec = assignment.config.checkpoint
    assert spec is not None
    told: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_sandbox("auto", worker_limits(assignment), [assignment.folder]) as warm,
    ):
        for _ in range(PLANTED):
            hand_in = HandIn()
            own = {"patch_size": 4, "embed_dim": 96, "depth": 5, "num_heads": 6, "mlp_ratio": 2.0}
            settings = other_settings({name: own[name] for name in own if name != "num_heads"}, lot)
            for name, value in settings.items():
                hand_in.edit(f"    {name} = {own[name]}\n", f"    {name} = {value}\n")
            record = grade(hand_in.pack(Path(folder)), assignment, warm, Options(accuracy=False, criteria=QUICK))
            notebook = read_notebook(PART2, json.dumps(hand_in.notebooks[PART2]).encode())
            found = claims(notebook, the_ground().stubs[spec.notebook], spec.settings, spec.class_name, record)
            told.update(claim.kind for claim in found)
    print(f"weights of other settings, graded: {dict(told)} of {PLANTED}", flush=True)


if __name__ == "__main__":
    main()
