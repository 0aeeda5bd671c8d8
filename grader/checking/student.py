"""The submission behind the wall. Nothing here executes student code: it asks a worker, and gets plain values back."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import torch

from grader import wire
from grader.assignment import Assignment
from grader.checking import following
from grader.checking.compare import assert_tensor
from grader.checking.memory import Memory
from grader.checking.promises import Promise
from grader.checking.refusals import refusal
from grader.errors import (
    AssignmentError,
    Died,
    Failed,
    Fault,
    Missing,
    OutOfMemory,
    Raised,
    SandboxError,
    TimedOut,
    WireError,
)
from grader.notebook import Notebook, Program
from grader.program import Fingerprint, definition_fingerprint, slice_program
from grader.sandbox import Ending, Sandbox, Worker

MAX_KIND, MAX_MESSAGE = 200, 2_000  # characters of an exception that a worker reports
MAX_PARTS = 4_096  # modules and tensors of one object; more is no layer of this world
Kind = TypeVar("Kind")
PATIENCE = 2  # how often a class may hang or kill its worker before the rest of its checks are not tried


@dataclass
class _Unread:
    """Replies on their way: how many of them nobody has taken yet."""

    replies: Iterator[wire.AnyReply]
    worker: Worker
    left: int
    limit: float  # seconds for each


@dataclass
class _Line:
    """One worker, and what it was told. number: of all workers; what was made in an earlier one is gone."""

    worker: Worker | None = None
    number: int = 0
    loaded: dict[str, tuple[wire.Failure, ...]] = field(default_factory=dict)
    unread: _Unread | None = None

    def end(self) -> Ending | None:
        """End the worker, and say how it ended; None where there is none."""
        worker, self.worker, self.unread = self.worker, None, None
        self.loaded.clear()
        return worker.kill() if worker is not None else None


class Student(Memory):
    """A submission's classes, by attribute: `student.MultiHeadAttention(dim=16, head_num=2)`; functions likewise.

    notebooks: by role; an absent role, or a reason why it cannot be read, makes its classes missing.
    untouched: for each class, the fingerprint that the template's own definition has.
    Programs are sliced and loaded for one wanted class at a time, so that what breaks one leaves the others alone.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        assignment: Assignment,
        notebooks: Mapping[str, Notebook | str],
        untouched: Mapping[str, Fingerprint | None],
    ) -> None:
        super().__init__()
        self._sandbox = sandbox
        self.assignment = assignment
        self.notebooks = notebooks
        self._untouched = untouched
        self._is_empty: dict[str, bool] = {}
        self._numbers = itertools.count(1)
        self._own = self._line = _Line()  # another one while stand-ins are in use
        self.spent = 0.0  # seconds in which a worker was asked something, and had a core to run on
        self._allowed = assignment.config.limits.submission_seconds  # of these
        self._programs: dict[str, Program] = {}
        self._strikes: dict[str, list[Fault]] = {}
        self._promises: list[Promise[Any]] = []  # not asked as yet
        self._handles = itertools.count(1)
        self.readings: dict[Hashable, dict[str, torch.Tensor] | None] = {}  # see `roles`

    def behind(self, sandbox: Sandbox) -> Student:
        """The same submission in another sandbox."""
        return Student(sandbox, self.assignment, self.notebooks, self._untouched)

    # ---- what checks use ----------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> ClassProxy | FunctionProxy:
        if name.startswith("_"):
            raise AttributeError(name)
        spec = self.assignment.config.classes.get(name)
        if spec is None:
            raise AssignmentError(f"a check asks the student for {name}, which is not among [classes]")
        if spec.kind == "function":
            self.require(name)
            return FunctionProxy(self, name)
        return self.get(name)

    def get(self, name: str) -> ClassProxy:
        """The class `name`. Raises Missing if it is not there or untouched, Raised if defining it raised."""
        self.require(name)
        return ClassProxy(self, name)

    def require(self, name: str) -> None:
        """Raise Missing unless the student has written something for the class."""
        spec = self.assignment.config.classes[name]
        notebook = self.notebooks.get(spec.file)
        title = self.assignment.config.files[spec.file].title
        if notebook is None:
            raise Missing(f"{title} was not handed in")
        if isinstance(notebook, str):
            raise Missing(f"{title} cannot be read: {notebook}")
        if name in self.standins:
            return
        program = self._program(name)
        for problem in program.problems:
            if name in problem.names:
                raise Missing(
                    f"{name} does not parse: {problem.message} in cell {problem.cell + 1}, line {problem.line}: "
                    f"{problem.text.strip()[:200]}",
                    {"cell": problem.cell + 1, "line": problem.line, "code": problem.text.strip()[:200]},
                )
        if name in program.missing:
            raise Missing(f"{title} defines no {name}")
        if name not in self._is_empty:
            handed_out = self._untouched.get(name)
            self._is_empty[name] = handed_out is not None and definition_fingerprint(notebook, name) == handed_out
        if self._is_empty[name]:
            raise Missing(f"{name} is as it was handed out: its zone is still empty")

    def use_standins(self, names: Iterable[str]) -> None:
        """From now on build upon stand-ins for these classes; () for the student's own.

        In a worker of their own, which ends with them: a stand-in is a solution, which an error message of another
        check would tell. The one without stand-ins waits meanwhile.
        """
        self._break_promises()
        self.standins = frozenset(names)
        if self._line is not self._own:
            self._line.end()
        self._line = _Line() if self.standins else self._own

    def close(self) -> None:
        for line in (self._line, self._own):
            line.end()

    # ---- asking -------------------------------------------------------------------------------------------------

    def ask(self, request: wire.AnyRequest, about: str, seconds: float | None = None, role: str = "") -> wire.AnyReply:
        """One request about the class `about`. Raises a Fault for whatever the student's code did wrong."""
        return next(self.ask_each((request,), about, seconds, role))

    def ask_each(
        self,
        requests: Sequence[wire.AnyRequest],
        about: str,
        seconds: float | None = None,
        role: str = "",
        explained: Callable[[Fault], Fault] | None = None,
    ) -> Iterator[wire.AnyReply]:
        """Several requests about the class `about`, sent together. The Fault of each is raised where it is taken.

        What was promised goes with them. explained: says more about what the code raised in answer to these.
        """
        if seconds is not None:
            self.keep_promises()  # in their own time
        promises, self._promises = self._promises, []
        sent = [*(promise.request for promise in promises), *requests]
        unread = None
        try:
            for promise in promises:
                unread, reply = self._reply(sent, unread, promise.about, None, "", promise.explained)
                promise.take(reply)
        except Fault as fault:
            for promise in promises:
                promise.break_off(fault)
            raise
        for _ in requests:
            unread, reply = self._reply(sent, unread, about, seconds, role, explained)
            yield reply

    def promise(
        self,
        request: wire.AnyRequest,
        about: str,
        taken: Callable[[wire.AnyReply], Kind],
        explained: Callable[[Fault], Fault],
    ) -> Promise[Kind]:
        """Ask this together with what is asked next; see `Promise`. Raises a Fault where nothing may be asked."""
        self._allowance(about)
        promise = Promise(self, request, about, taken, explained)
        self._promises.append(promise)
        return promise

    def keep_promises(self) -> None:
        """Ask what was promised. Raises the Fault of the first that goes wrong."""
        if self._promises:
            for _ in self.ask_each((), ""):
                pass

    def _break_promises(self) -> None:
        promises, self._promises = self._promises, []
        for promise in promises:
            promise.break_off(Died(f"{promise.about} is gone: its process has ended", {}))

    def _allowance(self, about: str) -> float:
        """How many seconds are left of the submission's. Raises a Fault where none are, or the class has had its."""
        strikes = self._strikes.setdefault(about, [])
        if len(strikes) >= PATIENCE:
            raise type(strikes[0])(
                f"{strikes[0].message} (as in the checks before: not tried again)", strikes[0].evidence
            )
        left = self._allowed - self.spent
        if left <= 0:
            raise TimedOut(f"the submission used up its {self.spent:.0f} seconds in all", {"seconds": self.spent})
        return left

    def _reply(
        self,
        sent: Sequence[wire.AnyRequest],
        unread: _Unread | None,
        about: str,
        seconds: float | None,
        role: str,
        explained: Callable[[Fault], Fault] | None,
    ) -> tuple[_Unread, wire.AnyReply]:
        """The next reply to what was sent, or is sent now. Raises its Fault."""
        left = self._allowance(about)
        if unread is None:
            limit = min(seconds if seconds is not None else self.assignment.config.limits.ask_seconds, left)
            unread = self._begin(sent, limit)
        strikes = self._strikes[about]
        try:
            reply = self._next(unread)
        except TimeoutError:
            self._drop()
            fault = TimedOut(f"{about} gave no answer within {unread.limit:g} seconds", {"seconds": unread.limit})
            raise self._strike(strikes, fault) from None
        except EOFError:
            raise self._strike(strikes, self._ended(about, self._drop())) from None
        except WireError as error:
            self._drop()
            raise self._strike(strikes, Died(f"{about} broke the connection to the grader: {error}", {})) from None
        if isinstance(reply, wire.RaisedReply):
            raised = self._raised(reply, role or self.role_of(about))
            raise explained(raised) if explained is not None and isinstance(raised, Raised) else raised
        return unread, reply

    def _begin(self, requests: Sequence[wire.AnyRequest], limit: float) -> _Unread:
        worker = self._live()
        unread = self._line.unread = _Unread(worker.ask_each(requests, limit), worker, len(requests), limit)
        return unread

    def _settle(self) -> None:
        """Take the replies that nobody wanted: a check had failed before it came to them."""
        if self._line.unread is not None:
            try:
                while self._line.unread.left:
                    self._next(self._line.unread)
            except (TimeoutError, EOFError, WireError):  # no check has come to it, so it costs none
                self._drop()

    def _next(self, unread: _Unread) -> wire.AnyReply:
        if unread is not self._line.unread:
            raise RuntimeError("the student's class was asked something else before all answers were taken")
        started, waited = time.monotonic(), unread.worker.waited
        try:
            reply = next(unread.replies)
        finally:
            self.spent += time.monotonic() - started - (unread.worker.waited - waited)
        unread.left -= 1
        return reply

    def _ended(self, about: str, ending: Ending) -> Fault:
        """Whose doing it is that the process ended. Raises SandboxError where it is the machine's."""
        limits = self.assignment.config.limits
        if ending.limit == "cpu":
            cpu = limits.cpu_seconds
            return TimedOut(f"{about} used up its {cpu} seconds of CPU time", {"cpu_seconds": cpu})
        if ending.limit == "memory":
            return OutOfMemory(f"{about} used more than the allowed {limits.memory_mb} MiB of memory", {})
        if ending.limit == "files":
            return Died(f"{about} wrote more than the allowed {limits.tmp_mb} MiB of temporary files", {})
        if ending.from_outside and self._sandbox.tier != "none":
            raise SandboxError("the machine ended a worker: it may have run out of memory")
        return Died(f"{about} ended its process: {ending}", {"code": ending.code, "signal": ending.signal})

    def _strike(self, strikes: list[Fault], fault: Fault) -> Fault:
        strikes.append(fault)
        return fault

    @property
    def threads(self) -> int:
        """How many threads its worker may use."""
        return self._sandbox.threads

    @contextlib.contextmanager
    def hurried(self, seconds: float) -> Iterator[None]:
        """For a while, no more than so many seconds in all, over however many asks."""
        before, self._allowed = self._allowed, min(self._allowed, self.spent + seconds)
        try:
            yield
        finally:
            self._allowed = before

    def forgive(self, about: str) -> None:
        """Start counting anew how often a class has hung or killed its worker."""
        self._strikes.pop(about, None)

    def role_of(self, about: str) -> str:
        spec = self.assignment.config.classes.get(about)
        return spec.file if spec else ""

    def _live(self) -> Worker:
        self._settle()
        line = self._line
        if line.worker is None:
            line.worker, line.number = self._sandbox.start(), next(self._numbers)
        return line.worker

    def _drop(self) -> Ending:
        self._break_promises()
        self._line.number = next(self._numbers)
        ending = self._line.end()
        assert ending is not None
        return ending

    def new_handle(self) -> int:
        """A number for an object that is to be made."""
        return next(self._handles)

    @property
    def generation(self) -> int:
        """Counts the workers: what was made in an earlier one is gone."""
        self._settle()
        return self._line.number

    def _raised(self, reply: wire.RaisedReply | wire.Failure, role: str) -> Fault:
        kind = reply.kind[:MAX_KIND]
        evidence: dict[str, Any] = {"exception": kind}
        place = ""
        if reply.frames:
            frame = reply.frames[-1]
            code = self.line(role, frame.cell, frame.line)
            evidence |= {"cell": frame.cell, "line": frame.line, "code": code}
            place = f" in cell {frame.cell}, line {frame.line}: {code}"
        if isinstance(reply, wire.RaisedReply) and reply.memory:
            megabytes = self.assignment.config.limits.memory_mb
            return OutOfMemory(f"more than the allowed {megabytes} MiB of memory was asked for{place}", evidence)
        message = f": {reply.message[:MAX_MESSAGE]}" if reply.message else ""
        reason = refusal(kind, reply.message, self.assignment.config.limits)
        return Raised(f"{kind}{message}{place}" + (f" (the grader's sandbox: {reason})" if reason else ""), evidence)

    def line(self, role: str, cell: int, line: int) -> str:
        """A line of the student's notebook; "" if there is no such line."""
        notebook = self.notebooks.get(role)
        if isinstance(notebook, Notebook) and 0 < cell <= len(notebook.cells):
            lines = notebook.cells[cell - 1].source.splitlines()
            if 0 < line <= len(lines):
                return lines[line - 1].strip()[:200]
        return ""

    # ---- programs -----------------------------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        return "+".join([name, *sorted(self.standins)])

    def _program(self, name: str) -> Program:
        key = self._key(name)
        if key not in self._programs:
            role = self.assignment.config.classes[name].file
            notebook = self.notebooks[role]
            assert isinstance(notebook, Notebook)
            replacements = {
                other: self.assignment.standin(other)
                for other in self.standins
                if other != name and self.assignment.config.classes[other].file == role
            }
            self._programs[key] = slice_program(notebook, [name], replacements)
        return self._programs[key]

    def load(self, name: str) -> str:
        """Execute the program of a class in the worker, once; returns the program's name there."""
        key = self._key(name)
        self._live()
        if key not in self._line.loaded:
            self._line.loaded[key] = self.load_program(key, self._program(name), name)
        for failure in self._line.loaded[key]:
            if name in failure.names:
                raise self._raised(failure, self.role_of(name))
        return key

    def load_program(self, key: str, program: Program, about: str, role: str = "") -> tuple[wire.Failure, ...]:
        """Execute a program in the worker; what raised is returned."""
        sources = tuple(
            wire.Source(text=e.source, filename=f"cell {e.cell + 1}", line=max(e.line, 1), names=e.names)
            for e in program.entries
        )
        request = wire.LoadProgram(program=key, sources=sources)
        reply = self.ask(request, about, self.assignment.config.limits.program_seconds, role)
        return expect(reply, wire.Loaded).failures

    def explained(self, message: str, name: str) -> str:
        """The message with what went wrong earlier in the notebook, which may explain it."""
        for failure in self._line.loaded.get(self._key(name), ()):
            names, why = ", ".join(failure.names), self._raised(failure, self.role_of(name)).message
            message = f"{message}; {names} could not be defined: {why}"
        return message


class ClassProxy:
    """A class of the student's: calling it builds an object in the worker."""

    def __init__(self, student: Student, name: str) -> None:
        self._student = student
        self.name = name

    def __call__(self, *args: Any, seed: int = 0, **kwargs: Any) -> ObjectProxy:
        return self._built(wire.Make, args, kwargs, seed)

    def outline(self, **kwargs: Any) -> ObjectProxy:
        """The same with weights that are not drawn: one of any size takes no memory, and none has an answer."""
        return self._built(wire.Outline, (), kwargs, 0)

    def _built(self, kind: type[wire.Make], args: tuple[Any, ...], kwargs: dict[str, Any], seed: int) -> ObjectProxy:
        program = self._student.load(self.name)
        handle = self._student.new_handle()
        request = kind(handle=handle, program=program, name=self.name, args=args, kwargs=kwargs, seed=seed)
        made = self._student.promise(request, self.name, self._taken, self._explained)
        return ObjectProxy(self._student, self.name, handle, made)

    def _taken(self, reply: wire.AnyReply) -> wire.Made:
        if isinstance(reply, wire.NotFound):
            raise Missing(f"{self.name} is not defined once the notebook has run")
        made = expect(reply, wire.Made)
        if max(len(made.modules), len(made.tensors)) > MAX_PARTS:
            raise Failed(f"{self.name} has more than {MAX_PARTS} modules or tensors", {})
        return made

    def _explained(self, fault: Fault) -> Fault:
        return Raised(self._student.explained(fault.message, self.name), fault.evidence)


class FunctionProxy:
    """A function of the student's: calling it runs it in the worker, and gives its value. Tensors come back detached.

    `student.softmax(x, seed=1)` runs it under a seed.
    """

    def __init__(self, student: Student, name: str) -> None:
        self._student = student
        self.name = name

    def __call__(self, *args: Any, seed: int | None = None, **kwargs: Any) -> Any:
        program = self._student.load(self.name)
        request = wire.CallFunction(program=program, name=self.name, args=args, kwargs=kwargs, seed=seed)
        try:
            reply = self._student.ask(request, self.name)
        except Raised as error:
            hint = self._student.hint(self.name) if error.evidence.get("exception") == "NameError" else ""
            raise Raised(f"{error.message}; {hint}" if hint else error.message, error.evidence) from None
        if isinstance(reply, wire.NotFound):
            raise Missing(f"{self.name} is not defined once the notebook has run")
        return expect(reply, wire.Value).value


class ObjectProxy:
    """An object in the worker. `modules` and `tensors` describe it; calling it runs forward in eval mode.

    `theirs(x, training=True, seed=1)` runs in training mode under a seed; `theirs.method(x)` calls a method.
    It is built when something is asked of it: whatever goes wrong is raised there, or at the end of the check.
    """

    def __init__(self, student: Student, class_name: str, handle: int, made: Promise[wire.Made]) -> None:
        self._student = student
        self.class_name = class_name
        self._handle = handle
        self._made = made
        self._born = student.generation
        self._weights: Promise[dict[str, torch.Tensor]] | None = None
        self.steps: list[following.Step] = []  # of the last call, where calls are followed

    @property
    def readings(self) -> dict[Hashable, dict[str, torch.Tensor] | None]:
        """What is known of the submission's classes, for all of its objects."""
        return self._student.readings

    @property
    def modules(self) -> tuple[wire.ModuleInfo, ...]:
        return self._made.kept().modules

    @property
    def tensors(self) -> tuple[wire.TensorInfo, ...]:
        return self._made.kept().tensors

    @property
    def weights(self) -> dict[str, torch.Tensor] | None:
        """What we gave it, and it had right afterwards; None if we gave it nothing."""
        return self._weights.kept() if self._weights is not None else None

    @property
    def handle(self) -> int:
        if self._born != self._student.generation:
            raise Died(f"{self.class_name} is gone: its process has ended", {})
        return self._handle

    def __call__(self, *args: Any, training: bool = False, seed: int | None = None, **kwargs: Any) -> torch.Tensor:
        """Run forward. Raises Failed unless it returns a tensor of floating-point numbers."""
        return self._output(self.call("forward", *args, training=training, seed=seed, **kwargs))

    def _output(self, value: Any) -> torch.Tensor:
        output = assert_tensor(value, f"the output of {self.class_name}")
        if not output.is_floating_point():  # checks subtract answers, which truth values refuse
            raise Failed(
                f"the output of {self.class_name} holds {output.dtype}, expected are floating-point numbers", {}
            )
        return output

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def method(*args: Any, training: bool = False, seed: int | None = None, **kwargs: Any) -> Any:
            return self.call(name, *args, training=training, seed=seed, **kwargs)

        return method

    def call(
        self,
        method: str,
        *args: Any,
        path: str = "",
        training: bool = False,
        seed: int | None = None,
        seconds: float | None = None,
        threads: int = 1,
        **kwargs: Any,
    ) -> Any:
        """Call a method of the object, or of its submodule at `path`. Tensors come back detached, on the CPU."""
        requests = [self._request(method, args, kwargs, path, training, seed, threads)]
        return next(self._values(requests, seconds))

    def forward_in_batches(
        self, inputs: torch.Tensor, size: int, threads: int, seconds: float, pixels: wire.Affine | None = None
    ) -> list[Any]:
        """Run forward on batches of `size` of the inputs, one after the other: its answers, in order.

        pixels: what makes images of the inputs, which are pixels in uint8.
        """
        request = wire.Call(
            handle=self.handle, method="forward", args=(inputs,), batch=size, pixels=pixels, threads=threads
        )
        answers = next(self._values([request], seconds))
        if not isinstance(answers, list) or len(answers) != -(-len(inputs) // size):
            raise Died(f"{self.class_name} broke the connection to the grader: it does not answer batch by batch", {})
        return answers

    def forward_on_gpu(self, inputs: torch.Tensor, seconds: float) -> Any:
        """Run forward where the worker has a GPU: the object is moved there and stays. The answer comes back."""
        request = wire.Call(handle=self.handle, method="forward", args=(inputs,), gpu=True)
        return next(self._values([request], seconds))

    def each(
        self, inputs: Iterable[tuple[Any, ...]], training: bool | Sequence[bool] = False, seeds: Sequence[int] = ()
    ) -> Iterator[torch.Tensor]:
        """Run forward on each of the inputs, as calling it one after the other would, and several times faster.

        Lazily: what is wrong with an answer is raised where it is taken. training: for all, or one for each input.
        seeds: one for each input, or none.
        """
        return map(self._output, self.call_each("forward", inputs, training, seeds))

    def call_each(
        self,
        method: str,
        inputs: Iterable[tuple[Any, ...]],
        training: bool | Sequence[bool] = False,
        seeds: Sequence[int] = (),
    ) -> Iterator[Any]:
        """The same for any method. Nothing else may be asked before the answers that are wanted are taken."""
        asked = list(inputs)
        drawn: Sequence[int | None] = seeds or [None] * len(asked)
        modes = [training] * len(asked) if isinstance(training, bool) else training
        requests = [
            self._request(method, args, {}, "", mode, seed, 1)
            for args, mode, seed in zip(asked, modes, drawn, strict=True)
        ]
        return self._values(requests, None)

    def _request(
        self,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        path: str,
        training: bool,
        seed: int | None,
        threads: int,
    ) -> wire.Call:
        return wire.Call(
            handle=self.handle,
            method=method,
            path=path,
            args=args,
            kwargs=kwargs,
            seed=seed,
            training=training,
            threads=threads,
            follow=following.active() is not None,
        )

    def _values(self, requests: Sequence[wire.Call], seconds: float | None) -> Iterator[Any]:
        replies = self._student.ask_each(requests, self.class_name, seconds, explained=self._explained)
        for request, reply in zip(requests, replies, strict=True):
            yield self._value(request, reply)

    def _value(self, request: wire.Call, reply: wire.AnyReply) -> Any:
        if isinstance(reply, wire.NotFound):
            raise Missing(f"{self.class_name} has no {request.path + '.' if request.path else ''}{request.method}")
        value = expect(reply, wire.Value).value
        if request.follow:
            value, self.steps = following.read_steps(value, (*request.args, *request.kwargs.values()))
        return value

    def state(self) -> dict[str, torch.Tensor]:
        """All parameters and buffers by name."""
        return self._state(self._student.ask(wire.GetState(handle=self.handle), self.class_name))

    def _state(self, reply: wire.AnyReply) -> dict[str, torch.Tensor]:
        value = expect(reply, wire.Value).value
        if not isinstance(value, dict) or not all(isinstance(t, torch.Tensor) for t in value.values()):
            raise Died(f"{self.class_name} broke the connection to the grader: its state is no set of tensors", {})
        if value.keys() != {info.name for info in self.tensors}:
            raise Failed(f"{self.class_name} changes the names of its parameters while it runs", {})
        for info in self.tensors:
            if tuple(value[info.name].shape) != info.shape:
                raise Failed(f"{self.class_name} changes the shape of its parameters while it runs", {})
        return value

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Overwrite the named parameters and buffers before it is asked anything else."""
        request = wire.SetState(handle=self.handle, tensors=dict(tensors))
        self._student.promise(request, self.class_name, lambda reply: expect(reply, wire.Value), self._explained)

    def randomise(self, seed: int, held: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
        """Let the worker give it random parameters, those of `grader.noise`, before it is asked anything else.

        held: gets all of them as they then are, and gives those that `weights` is to be; may raise a Fault.
        """
        request = wire.Randomise(handle=self.handle, seed=seed)
        taken = self._student.promise(request, self.class_name, lambda reply: held(self._state(reply)), self._explained)
        self._weights = taken

    def _explained(self, fault: Fault) -> Fault:
        if fault.evidence.get("exception") != "NameError":
            return fault
        return Raised(self._student.explained(fault.message, self.class_name), fault.evidence)

    def of_class(self, *names: str) -> list[wire.ModuleInfo]:
        """The submodules that are instances of one of the named classes, outermost only."""
        found: list[wire.ModuleInfo] = []
        for module in self.modules:
            inside = any(module.path.startswith(outer.path + ".") for outer in found)
            if module.path and not inside and set(names) & set(module.names):
                found.append(module)
        return found

    def forget(self) -> None:
        """Let the worker drop the object."""
        with contextlib.suppress(Fault):
            self._student.ask(wire.Forget(handle=self.handle), self.class_name)


def together(asked: Iterable[tuple[ObjectProxy, Sequence[Any]]], method: str = "forward") -> Iterator[Any]:
    """Call several objects of one class, each with inputs of its own, as `each` and `call_each` do with one object."""
    pairs = list(asked)
    first, _ = pairs[0]
    requests = [one._request(method, tuple(args), {}, "", False, None, 1) for one, args in pairs]
    replies = first._student.ask_each(requests, first.class_name, explained=first._explained)
    for (one, _), request, reply in zip(pairs, requests, replies, strict=True):
        value = one._value(request, reply)
        yield one._output(value) if method == "forward" else value


def expect(reply: wire.AnyReply, kind: type[Kind]) -> Kind:
    """The reply, if it is of the kind that the request has."""
    if not isinstance(reply, kind):
        _unexpected(reply)
    return reply


def _unexpected(reply: wire.AnyReply) -> NoReturn:
    raise Died(f"the process answered out of turn ({type(reply).__name__})", {})
