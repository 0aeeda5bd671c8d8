"""The trained model: shown the held-out images in the worker, its answers counted on the trusted side."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import msgspec
import torch

from grader import wire
from grader.answers import answered, answers
from grader.assignment import Assignment, CheckpointSpec
from grader.checking.student import Student, expect
from grader.errors import AssignmentError, Failed, Fault, SandboxError, TimedOut
from grader.gpu import Gpu, held_against
from grader.loading import Weights
from grader.notebook import Notebook
from grader.records import Answers, CheckpointResult, Frozen, NoiseResult, SampleResult
from grader.sample import load_sample, read_idx
from grader.settings import Candidate
from grader.transform import NAME as TRANSFORM_NAME
from grader.transform import transform_of

MAX_EVALUATED = 4  # candidates that fit the shapes alike (head counts cannot be seen in weights)
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
        self._weights = Weights(assignment, student, data)
        self._progress = progress
        self._evaluations = evaluations
        self._gpu = gpu
        self._device, self._device_reason = "cpu", ""
        self._fitting: list[Candidate] = []
        self._search: Iterator[Candidate] | None = None
        self._fault: Fault | None = None
        self._right: dict[int, torch.Tensor] = {}  # by the number of the candidate: which images it answers right
        self.result = CheckpointResult()
        self.answers: Answers | None = None  # to the held-out set, once they were counted

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken off before the weights loaded."""
        return self._weights.notes

    # ---- loading ------------------------------------------------------------------------------------------------

    def load(self) -> CheckpointResult:
        """Find the settings under which the weights load strictly. Raises Missing, Failed, or what the code did."""
        if self._search is None and self._fault is None:
            search = self._weights.fitting()
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
        tried = [candidate.values for candidate in self._weights.candidates]
        parts = (FORMAT, code, tried, msgspec.to_builtins(self.spec))
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted") + b"\0" + self._data).hexdigest()

    def _as_own(self, result: CheckpointResult) -> CheckpointResult:
        """The evaluation of a twin, with the place where this notebook says its settings."""
        sources = [c.source for c in self._weights.candidates if c.values == result.settings]
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
                twin._weights.read()
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
        model = self._weights.build(candidate)
        limit, size = self._assignment.config.limits.accuracy_seconds, self.spec.batch
        for inputs, pixels, places in self._groups(images, order):
            if on_gpu:
                shown = pixels(inputs) if pixels is not None else inputs
                found: Iterable[Any] = (model.forward_on_gpu(part, limit) for part in torch.split(shown, size))
            else:
                found = model.forward_in_batches(inputs, size, self._student.threads, limit, pixels)
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

    def _groups(
        self, images: torch.Tensor, order: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, wire.Affine | None, torch.Tensor]]:
        """Some batches of images (N, 1, H, W) at a time, with their places in the held-out set, shuffled.

        Their pixels, and what makes images of these; or the images, where that is code of the student's.

        Each of the first alone: a model that is too slow must be known by them. A question costs as much as a tenth of
        what a small model takes for a batch.
        """
        notebook = self._student.notebooks[self.spec.notebook]
        assert isinstance(notebook, Notebook)
        transform = transform_of(notebook, self.spec.dataset_call)
        size = self.spec.batch
        if not isinstance(transform, wire.Affine):
            # Student code: its answers are asked for, and taken, a batch at a time.
            program = "held-out transform"
            self._student.load_program(program, transform, self.spec.class_name)
            for places in torch.split(order, size):
                request = wire.Transform(program=program, name=TRANSFORM_NAME, images=images[places])
                limit = self._assignment.config.limits.program_seconds
                shown = expect(self._student.ask(request, self.spec.class_name, limit), wire.Value).value
                if not isinstance(shown, torch.Tensor) or shown.dim() == 0 or len(shown) != len(places):
                    raise Failed("the transform of the test images does not give one tensor an image")
                yield shown, None, places
            return
        alone = WARM_BATCHES * size
        together = size * max(1, GROUP_BYTES // (4 * size * images[0].numel()))
        rest = torch.split(order[alone:], together) if len(order) > alone else ()  # of nothing there is one part
        for places in (*torch.split(order[:alone], size), *rest):
            yield images[places].unsqueeze(1), transform, places

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
