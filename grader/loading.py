"""The `.pth` and the model that it belongs to: which of the notebook's settings build one that it loads into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from grader import wire
from grader.assignment import Assignment, CheckpointSpec
from grader.checking.student import ObjectProxy, Student, expect
from grader.errors import Failed, Fault, Missing, Raised
from grader.notebook import Notebook
from grader.settings import Candidate, candidates

MAX_CANDIDATES = 16  # constructor calls tried against the weights' shapes
MENDING = "save the trained weights again, with torch.save(model.state_dict(), …)"


class Weights:
    """The weights in a `.pth`, read inside a worker, and the model of the notebook that they load into.

    data: the bytes of the file, or None when there is none. candidates: the settings that the notebook names, best
    evidence first, once `fitting` was asked.
    """

    def __init__(self, assignment: Assignment, student: Student, data: bytes | None) -> None:
        assert assignment.config.checkpoint is not None
        self.spec: CheckpointSpec = assignment.config.checkpoint
        self.notes: tuple[str, ...] = ()
        self.candidates: list[Candidate] = []
        self._assignment = assignment
        self._student = student
        self._data = data
        self._outlines = True  # whether a model's shapes are looked at before it is built

    def fitting(self) -> Iterator[Candidate]:
        """The candidates that fit, best evidence first; those that name every setting before those that do not.

        Raises the Fault of the most likely one if none fits.
        """
        if self._data is None:
            raise Missing("there is no .pth in the archive")
        if not self._data:
            raise Failed("the .pth is empty: save the weights again and check the file's size before packing it")
        self._student.require(self.spec.class_name)
        notebook = self._student.notebooks[self.spec.notebook]
        assert isinstance(notebook, Notebook)
        self.read()
        found = candidates(notebook, self.spec.settings, self.spec.class_name)
        if not found:
            raise Failed(
                f"the settings ({', '.join(self.spec.settings)}) that the weights were trained with are nowhere in the "
                "notebook",
                {"looked_for": list(self.spec.settings)},
            )
        found.sort(key=lambda candidate: not set(self.spec.settings) <= set(candidate.values))
        self.candidates = found
        first: Fault | None = None
        fits = 0
        for candidate in found[:MAX_CANDIDATES]:
            try:
                if not self._fits_outline(candidate):
                    self.build(candidate).forget()
            except Fault as fault:
                first = first or fault
                self._student.forgive(self.spec.class_name)
                continue
            fits += 1
            yield candidate
        if not fits and first is not None:
            raise first

    def read(self) -> None:
        """The tensors of the `.pth`, read inside the worker with the model's class at hand."""
        assert self._data is not None
        self._student.load(self.spec.class_name)
        try:
            reply = self._ask(wire.LoadCheckpoint(data=self._data))
        except Fault as fault:
            if fault.evidence.get("exception") == "BadCheckpoint":
                text = fault.message.removeprefix("BadCheckpoint: ")
                raise Failed(f"the .pth cannot be loaded: {text}; {MENDING}", fault.evidence) from None
            raise type(fault)(f"while the .pth was read: {fault.message}", fault.evidence) from None
        checkpoint = expect(reply, wire.Checkpoint)
        self.notes = checkpoint.notes
        self._saved = {info.name: info for info in checkpoint.tensors}
        self._generation = self._student.generation

    def _ask(self, request: wire.AnyRequest) -> wire.AnyReply:
        limit = self._assignment.config.limits.program_seconds
        return self._student.ask(request, self.spec.class_name, limit)

    def _fits_outline(self, candidate: Candidate) -> bool:
        """Whether the weights load into a model with these settings, of which no weights were drawn before.

        Raises Failed, naming the tensor, where these settings make another model than the one that was saved. A
        notebook names settings of every size: of a model of 85 million numbers, the constructor's defaults perhaps,
        nothing is kept to find that out. False where the code has a reason not to be looked at so: it is built as ever.
        """
        if not self._outlines:
            return False
        try:
            model = self._student.get(self.spec.class_name).outline(**self._arguments(candidate))
            model.tensors  # noqa: B018 - it is built when it is asked
        except Fault as fault:
            self._student.forgive(self.spec.class_name)
            self._outlines = isinstance(fault, Raised)  # once is enough for what hangs, or takes its process along
            return False
        if self._generation != self._student.generation:  # the worker that held the weights has ended
            return False
        try:
            self._fill(model, candidate)
        except Failed:
            raise
        except Fault:
            self._student.forgive(self.spec.class_name)
            return False
        finally:
            model.forget()
        return True

    def _arguments(self, candidate: Candidate) -> dict[str, Any]:
        return {**self.spec.fixed, **candidate.values}

    def build(self, candidate: Candidate) -> ObjectProxy:
        """Build the model with these settings and load the weights. Raises Failed, naming the tensor that differs."""
        factory, arguments = self._student.get(self.spec.class_name), self._arguments(candidate)
        model = factory(**arguments)
        if self._generation != self._student.generation:
            self.read()  # the worker that held the weights has ended
            model = factory(**arguments)
        try:
            self._fill(model, candidate)
        except Fault as fault:
            model.forget()  # the next may be as large
            if fault.evidence.get("exception") == "RuntimeError":
                raise Failed(f"the weights do not load strictly: {fault.message}", fault.evidence) from None
            raise
        return model

    def _fill(self, model: ObjectProxy, candidate: Candidate) -> None:
        """Load the weights into it. Raises Failed, naming the tensor that differs, and the Fault of the loading."""
        self._compare(model.tensors, candidate)
        expect(self._ask(wire.LoadWeights(handle=model.handle)), wire.Value)

    def _compare(self, tensors: Sequence[wire.TensorInfo], candidate: Candidate) -> None:
        own = {info.name: info for info in tensors if info.kind != "hidden buffer"}
        settings = ", ".join(f"{name}={value}" for name, value in candidate.values.items())
        where = f"(settings {settings} from {candidate.source})"
        for name in own:
            if name not in self._saved:
                raise Failed(f"the model has “{name}”, the .pth has not {where}", {"tensor": name})
        for name, info in self._saved.items():
            if name not in own:
                raise Failed(f"the .pth has “{name}”, the model has not {where}", {"tensor": name})
            if own[name].shape != info.shape:
                raise Failed(
                    f"“{name}” is {info.shape} in the .pth and {own[name].shape} in the model {where}",
                    {"tensor": name, "saved": list(info.shape), "model": list(own[name].shape)},
                )
