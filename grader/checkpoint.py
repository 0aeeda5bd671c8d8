"""The trained weights: loaded in the worker, held against the submitted model, counted on the trusted side."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import msgspec
import torch

from grader import wire
from grader.answers import answered, answers
from grader.assignment import Assignment, CheckpointSpec
from grader.checking.student import ObjectProxy, Student, expect
from grader.errors import AssignmentError, Failed, Fault, Missing, Raised, SandboxError, TimedOut
from grader.gpu import Gpu, held_against
from grader.notebook import Notebook
from grader.records import Answers, CheckpointResult, Frozen, NoiseResult, SampleResult
from grader.sample import load_sample, read_idx
from grader.settings import Candidate, candidates
from grader.transform import NAME as TRANSFORM_NAME
from grader.transform import Affine, transform_of

MAX_CANDIDATES = 16  # constructor calls tried against the weights' shapes
MAX_EVALUATED = 4  # candidates that fit the shapes alike (head counts cannot be seen in weights)
MENDING = "save the trained weights again, with torch.save(model.state_dict(), …)"
NOISY_IMAGES = 1_000  # shown once more with noise
NOISE_LEVELS = 2  # grey levels up or down, of 256; the reference answers alike up to 8
FORMAT = 3  # of what is kept of an evaluation; another one is not found
WARM_BATCHES = 3  # after this many, the time for the whole is estimated
GROUP_BYTES = 2 << 20  # of transformed images that are sent at a time


class Evaluation(Frozen, frozen=True):
    """What came of showing a model the held-out set."""

    result: CheckpointResult
    answers: Answers


class Evaluations(Protocol):
    """The evaluations of other submissions: where code and weights are the same, the answers are."""

    def find(self, key: str) -> bytes | None:
        """What was kept of this fingerprint; None asks the caller to make it, and to keep it if it can be made."""
        ...

    def keep(self, result: bytes) -> None: ...


class TrainedModel:
    """The submission's weights in the submission's model.

    `load` raises a Fault unless they load strictly; `accuracy` counts right answers over the held-out set. Both do
    their work once. data: the bytes of the `.pth`, or None when there is none.
    """

    def __init__(
        self,
        assignment: Assignment,
        student: Student,
        data: bytes | None,
        progress: Callable[[str, int, int], None],
        evaluations: Evaluations | None = None,
        gpu: Gpu | None = None,
    ) -> None:
        assert assignment.config.checkpoint is not None
        self.spec: CheckpointSpec = assignment.config.checkpoint
        self._assignment = assignment
        self._student = student
        self._data = data
        self._progress = progress
        self._evaluations = evaluations
        self._gpu = gpu
        self._device, self._device_reason = "cpu", ""
        self._candidates: list[Candidate] = []
        self._fitting: list[Candidate] = []
        self._search: Iterator[Candidate] | None = None
        self._fault: Fault | None = None
        self._outlines = True  # whether a model's shapes are looked at before it is built
        self._right: dict[int, torch.Tensor] = {}  # by the number of the candidate: which images it answers right
        self.notes: tuple[str, ...] = ()
        self.result = CheckpointResult()
        self.answers: Answers | None = None  # to the held-out set, once they were counted

    # ---- loading ------------------------------------------------------------------------------------------------

    def load(self) -> CheckpointResult:
        """Find the settings under which the weights load strictly. Raises Missing, Failed, or what the code did."""
        if self._search is None and self._fault is None:
            search = self._find()
            try:
                best = next(search)
            except Fault as fault:
                self._fault = fault
            else:
                self._search = search
                self._fitting.append(best)
                self.result = CheckpointResult(settings=dict(best.values), settings_source=best.source)
        if self._fault is not None:
            raise self._fault
        return self.result

    def _find(self) -> Iterator[Candidate]:
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
        self._read()
        found = candidates(notebook, self.spec.settings, self.spec.class_name)
        if not found:
            raise Failed(
                f"the settings ({', '.join(self.spec.settings)}) that the weights were trained with are nowhere in the "
                "notebook",
                {"looked_for": list(self.spec.settings)},
            )
        found.sort(key=lambda candidate: not set(self.spec.settings) <= set(candidate.values))
        self._candidates = found
        first: Fault | None = None
        fits = 0
        for candidate in found[:MAX_CANDIDATES]:
            try:
                if not self._fits_outline(candidate):
                    self._build(candidate).forget()
            except Fault as fault:
                first = first or fault
                self._student.forgive(self.spec.class_name)
                continue
            fits += 1
            yield candidate
        if not fits and first is not None:
            raise first

    def _read(self) -> None:
        """The tensors of the `.pth`, read inside the worker with the model's class at hand."""
        assert self._data is not None
        self._student.load(self.spec.class_name)
        data = torch.frombuffer(bytearray(self._data), dtype=torch.uint8)
        try:
            reply = self._ask(wire.LoadCheckpoint(data=data))
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
            tensors = model.tensors
        except Fault as fault:
            self._student.forgive(self.spec.class_name)
            self._outlines = isinstance(fault, Raised)  # once is enough for what hangs, or takes its process along
            return False
        try:
            self._compare(tensors, candidate)
            if self._generation != self._student.generation:  # the worker that held the weights has ended
                return False
            expect(self._ask(wire.LoadWeights(handle=model.handle)), wire.Value)
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

    def _build(self, candidate: Candidate) -> ObjectProxy:
        """Build the model with these settings and load the weights. Raises Failed, naming the tensor that differs."""
        factory, arguments = self._student.get(self.spec.class_name), self._arguments(candidate)
        model = factory(**arguments)
        if self._generation != self._student.generation:
            self._read()  # the worker that held the weights has ended
            model = factory(**arguments)
        try:
            self._compare(model.tensors, candidate)
            expect(self._ask(wire.LoadWeights(handle=model.handle)), wire.Value)
        except Fault as fault:
            model.forget()  # the next may be as large
            if fault.evidence.get("exception") == "RuntimeError":
                raise Failed(f"the weights do not load strictly: {fault.message}", fault.evidence) from None
            raise
        return model

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

    # ---- accuracy -----------------------------------------------------------------------------------------------

    def accuracy(self) -> CheckpointResult:
        """Count the right answers. Where several settings fit, all are tried and the best counts."""
        self.load()
        if self.result.accuracy is None:
            known = self._evaluations.find(self._fingerprint()) if self._evaluations is not None else None
            if known is not None:
                evaluation = msgspec.json.decode(known, type=Evaluation)
                self.result, self.answers = self._as_own(evaluation.result), evaluation.answers
                return self.result
            assert self._search is not None
            found = [self._evaluate(self._fitting[0])]
            while (found[-1].result.accuracy or 0.0) < self.spec.bar and len(self._fitting) < MAX_EVALUATED:
                other = next(self._search, None)
                if other is None:
                    break
                self._fitting.append(other)
                found.append(self._evaluate(other))
            number = max(range(len(found)), key=lambda n: found[n].result.accuracy or 0.0)
            noise = self._with_noise(self._fitting[number], self._right[number])
            sample = self._of_sample(self._fitting[number], self._right[number])
            self.result = msgspec.structs.replace(found[number].result, noise=noise, sample=sample)
            self.answers = found[number].answers
            if self._evaluations is not None:
                self._evaluations.keep(msgspec.json.encode(Evaluation(result=self.result, answers=self.answers)))
        return self.result

    def _fingerprint(self) -> str:
        """Of all that the answers hang on: the code of every notebook, the weights, and the settings to be tried.

        The code of all: what stands in one class may change what another computes. FORMAT: what is kept under it.
        """
        assert self._data is not None
        code = {
            role: [cell.source for cell in notebook.cells if cell.kind == "code"]
            for role, notebook in self._student.notebooks.items()
            if isinstance(notebook, Notebook)
        }
        parts = (FORMAT, code, [candidate.values for candidate in self._candidates], msgspec.to_builtins(self.spec))
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted") + b"\0" + self._data).hexdigest()

    def _as_own(self, result: CheckpointResult) -> CheckpointResult:
        """The evaluation of a twin, with the place where this notebook says its settings."""
        sources = [c.source for c in self._candidates if c.values == result.settings]
        return msgspec.structs.replace(result, settings_source=sources[0] if sources else "", seconds=0.0)

    def _with_noise(self, candidate: Candidate, right: torch.Tensor) -> NoiseResult:
        """Show some of the images once more, hardly changed. right: which are answered right as they are, (N,) bool."""
        images, labels = self._held_out()
        generator = torch.Generator().manual_seed(self._assignment.config.seed)
        chosen = torch.randperm(len(images), generator=generator)[:NOISY_IMAGES]
        noise = torch.randint(-NOISE_LEVELS, NOISE_LEVELS + 1, images[chosen].shape, generator=generator)
        noisy = (images[chosen] + noise).clamp(0, 255).to(torch.uint8)
        exact, correct, fault = int(right[chosen].sum()), 0, ""
        try:
            for logits, batch in self._answers(candidate, noisy, torch.arange(len(noisy))):
                correct += int((answered(logits)[0] == labels[chosen[batch]]).sum())
        except Fault as raised:  # no mark hangs on it
            fault = raised.message
            self._student.forgive(self.spec.class_name)
        return NoiseResult(total=len(noisy), exact=exact, noisy=correct, fault=fault)

    def _of_sample(self, candidate: Candidate, right: torch.Tensor) -> SampleResult | None:
        """Ask for some training images too. right: which held-out images are answered right, (N,) bool.

        None where there is no sample for this held-out set, or the model has no answer to it: no mark hangs on it.
        """
        spec, folder = self.spec.sample, self._assignment.folder
        if spec is None:
            return None
        try:
            sample = load_sample(folder / spec.images, folder / spec.labels, folder / spec.norm)
        except AssignmentError:  # `doctor` and `integrity` say so; it is no reason to measure no accuracy
            return None
        if not sample.is_about(len(right)):
            return None
        shown, labels = torch.from_numpy(sample.shown), torch.from_numpy(sample.labels.copy()).repeat(2)
        order = torch.randperm(len(shown), generator=torch.Generator().manual_seed(self._assignment.config.seed))
        of_shown = torch.zeros(len(shown), dtype=torch.bool)
        try:
            for logits, batch in self._answers(candidate, shown, order):
                of_shown[batch] = answered(logits)[0] == labels[batch]
        except Fault:
            self._student.forgive(self.spec.class_name)
            return None
        return sample.counted(right.numpy(), of_shown.numpy())

    def _held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        return held_out(self._assignment.folder, self.spec.images, self.spec.labels)

    def _fastest(
        self, candidate: Candidate, images: torch.Tensor, order: torch.Tensor
    ) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """As `_answers`; from the GPU, where that is worth its start and the CPU's answers bear it out."""
        self._device, self._device_reason = "cpu", ""
        answers = self._answers(candidate, images, order)
        if self._gpu is None:
            return answers
        first: list[tuple[torch.Tensor, torch.Tensor]] = []
        before, spent, done = self._student.spent, 0.0, 0
        while len(first) < WARM_BATCHES and done < len(images) and spent <= self._gpu.worth:
            first.append(next(answers))
            spent, done = self._student.spent - before, done + len(first[-1][1])
        if spent * len(images) / done <= self._gpu.worth:
            return itertools.chain(first, answers)
        try:
            found = held_against(
                first,
                self._on_gpu(self._gpu, candidate, images, order),
                lambda places: self._answers(candidate, images, places),
            )
        except Fault as fault:
            self._device_reason = fault.message
            self._student.forgive(self.spec.class_name)
            return itertools.chain(first, self._answers(candidate, images, order[done:]))
        self._device = "cuda"
        return found

    def _on_gpu(
        self, gpu: Gpu, candidate: Candidate, images: torch.Tensor, order: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        try:
            with contextlib.closing(self._student.behind(gpu.sandbox())) as student:
                twin = TrainedModel(self._assignment, student, self._data, self._progress)
                twin._read()
                done = 0
                for number, (logits, batch) in enumerate(twin._answers(candidate, images, order, on_gpu=True)):
                    yield logits, batch
                    done += len(batch)
                    self._progress("held-out images", done, len(images))
                    self._in_time(student.spent, number + 1, done, len(images))
        except SandboxError as error:
            gpu.close()
            raise Failed(str(error)) from None

    def _answers(
        self, candidate: Candidate, images: torch.Tensor, order: torch.Tensor, on_gpu: bool = False
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The logits (B, classes) for batches of the images, and these images' places; NaN answers are no answers."""
        model = self._build(candidate)
        limit, size = self._assignment.config.limits.accuracy_seconds, self.spec.batch
        for inputs, places in self._groups(images, order):
            if on_gpu:
                found = [model.forward_on_gpu(part, limit) for part in torch.split(inputs, size)]
            else:
                found = model.forward_in_batches(inputs, size, self._student.threads, limit)
            for logits, batch in zip(found, torch.split(places, size), strict=True):
                self._plausible(logits, len(batch))
                yield logits, batch
        model.forget()

    def _evaluate(self, candidate: Candidate) -> Evaluation:
        images, labels = self._held_out()
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(self._assignment.config.seed))
        started, spent = time.monotonic(), self._student.spent
        predicted, confidence = torch.zeros_like(labels), torch.zeros(len(images), dtype=torch.float64)
        for number, (logits, batch) in enumerate(self._fastest(candidate, images, order)):
            predicted[batch], confidence[batch] = answered(logits)
            done = min((number + 1) * self.spec.batch, len(images))
            self._progress("held-out images", done, len(images))
            self._in_time(self._student.spent - spent, number + 1, done, len(images))
        self._right[len(self._right)] = right = predicted == labels
        correct = int(right.sum())
        result = CheckpointResult(
            accuracy=correct / len(images),
            correct=correct,
            total=len(images),
            settings=dict(candidate.values),
            settings_source=candidate.source,
            seconds=time.monotonic() - started,
            device=self._device,
            device_reason=self._device_reason,
        )
        return Evaluation(result=result, answers=answers(predicted, confidence, images, labels, self.spec.classes))

    def _groups(self, images: torch.Tensor, order: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Some batches of transformed images (N, 1, H, W) at a time, with their places in the held-out set, shuffled.

        Each of the first alone: a model that is too slow must be known by them. A question costs as much as a tenth of
        what a small model takes for a batch.
        """
        notebook = self._student.notebooks[self.spec.notebook]
        assert isinstance(notebook, Notebook)
        transform = transform_of(notebook, self.spec.dataset_call)
        if not isinstance(transform, Affine):
            program = "held-out transform"
            self._student.load_program(program, transform, self.spec.class_name)
        size = self.spec.batch
        if not isinstance(transform, Affine):  # student code: its answers are asked for, and taken, a batch at a time
            for places in torch.split(order, size):
                request = wire.Transform(program=program, name=TRANSFORM_NAME, images=images[places])
                shown = expect(self._ask(request), wire.Value).value
                if not isinstance(shown, torch.Tensor) or shown.dim() == 0 or len(shown) != len(places):
                    raise Failed("the transform of the test images does not give one tensor an image")
                yield shown, places
            return
        alone = WARM_BATCHES * size
        together = size * max(1, GROUP_BYTES // (4 * size * images[0].numel()))
        rest = torch.split(order[alone:], together) if len(order) > alone else ()  # of nothing there is one part
        for places in (*torch.split(order[:alone], size), *rest):
            yield transform(images[places].unsqueeze(1).float() / 255), places

    def _plausible(self, logits: Any, count: int) -> None:
        expected = (count, self.spec.classes)
        if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != expected:
            found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise Failed(f"the model answers a batch of {count} images with {found}, expected {expected}")
        if not logits.is_floating_point():
            raise Failed(f"the model answers with numbers of type {logits.dtype}, expected are logits")

    def _in_time(self, seconds: float, batches: int, done: int, total: int) -> None:
        limit = self._assignment.config.limits.accuracy_seconds
        estimate = seconds * total / done
        if seconds > limit or (batches == WARM_BATCHES and estimate > 2 * limit):
            raise TimedOut(
                f"the model is too slow: {done} of {total} images took {seconds:.0f} s, all would take about "
                f"{estimate:.0f} s, allowed are {limit:.0f}",
                {"seconds": round(seconds, 1), "estimate": round(estimate), "limit": limit},
            )


@lru_cache(maxsize=1)
def held_out(folder: Path, images: str, labels: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The held-out images (N, H, W) uint8, labels (N,) int64: IDX files, gzipped or not. Raises AssignmentError."""
    pair = _read(folder / images), _read(folder / labels).long()
    if len(pair[0]) != len(pair[1]):
        raise AssignmentError(f"{folder / images} holds {len(pair[0])} images but {len(pair[1])} labels")
    return pair


def _read(path: Path) -> torch.Tensor:
    return torch.from_numpy(read_idx(path).copy())
