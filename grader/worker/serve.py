"""Answers requests off the wire, one at a time, until the other side closes."""

from __future__ import annotations
import __future__

import socket
import sys
import types
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from grader import wire
from grader.noise import FLOATING, noise
from grader.worker import gpu, objects, steps, weights

FUTURE_FLAGS = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})
REQUEST_CAPS = wire.Caps(header=2 << 30, payload=2 << 30)  # the trusted side may send what it likes


class State:
    """What a worker keeps between requests."""

    def __init__(self, with_gpu: bool = False) -> None:
        self.with_gpu = with_gpu
        self.programs: dict[str, types.ModuleType] = {}
        self.compiled: dict[tuple[str, int, str, int], types.CodeType] = {}  # programs have statements in common
        self.other_names: dict[str, dict[int, list[str]]] = {}  # of a program's classes
        self.made: dict[int, Any] = {}
        self.checkpoint: dict[str, torch.Tensor] = {}
        self.on_cpu = False  # whether requests for a GPU are sent to the CPU


def serve(sock: socket.socket, limits: wire.WorkerLimits) -> None:
    """Give up every other descriptor, then answer until the end of file."""
    from grader.worker.confine import keep_only

    keep_only({sock.fileno(), *gpu.descriptors()})
    answer_all(sock, with_gpu=bool(limits.devices))


def answer_all(sock: socket.socket, with_gpu: bool = False) -> None:
    """Say that the worker is ready, then answer until the end of file."""
    torch.set_num_threads(1)
    objects.compile_nothing()
    state = State(with_gpu)
    wire.send(sock, wire.Value(value="ready"))
    while True:
        try:
            message = wire.receive(sock, wire.AnyRequest | wire.Several, REQUEST_CAPS)
        except EOFError:
            return
        for request in message.requests if isinstance(message, wire.Several) else (message,):
            _reply(sock, _answer(state, request))


def _reply(sock: socket.socket, reply: wire.AnyReply) -> None:
    try:
        wire.send(sock, reply)
    except OSError:
        raise
    except BaseException as error:  # a dtype that cannot cross, or a tensor subclass that raises when it is copied
        wire.send(sock, objects.raised(error))


def _answer(state: State, request: wire.AnyRequest) -> wire.AnyReply:
    try:
        try:
            return _attempt(state, request)
        except BaseException as error:
            if state.with_gpu or state.on_cpu or not objects.wants_cuda(error):
                raise
        state.on_cpu = True
        objects.quiet_cuda()
        return _attempt(state, request)
    except BaseException as error:  # SystemExit and KeyboardInterrupt are the student's too, in here
        return objects.raised(error)


def _attempt(state: State, request: wire.AnyRequest) -> wire.AnyReply:
    handler: Callable[[State, Any], wire.AnyReply] = HANDLERS[type(request)]
    torch.set_grad_enabled(False)  # whatever the code has set before
    with objects.CudaMeansCpu() if state.on_cpu else nullcontext():
        return handler(state, request)


def _load_program(state: State, request: wire.LoadProgram) -> wire.Loaded:
    module = types.ModuleType("__main__")
    module.__dict__.update(display=lambda *_, **__: None, get_ipython=lambda: None)
    sys.modules["__main__"] = module  # where dataclasses and pickles look for a notebook's own classes
    state.programs[request.program] = module
    failures, flags = [], 0
    for source in request.sources:
        try:
            code = _compiled(state, source, flags)
            flags |= code.co_flags & FUTURE_FLAGS
            exec(code, module.__dict__)
        except BaseException as error:
            if not (state.with_gpu or state.on_cpu) and objects.wants_cuda(error):
                raise  # the whole program is loaded once more, with the CPU in place of the GPU
            failures.append(objects.failure(error, source.names))
    state.other_names[request.program] = objects.other_names(vars(module))
    return wire.Loaded(failures=tuple(failures))


def _compiled(state: State, source: wire.Source, flags: int) -> types.CodeType:
    key = (source.text, source.line, source.filename, flags)
    if key not in state.compiled:
        text = "\n" * (source.line - 1) + source.text
        state.compiled[key] = compile(text, source.filename, "exec", flags=flags, dont_inherit=True)
    return state.compiled[key]


def _make(state: State, request: wire.Make) -> wire.AnyReply:
    factory = getattr(state.programs.get(request.program), request.name, None)
    if factory is None:
        return wire.NotFound(name=request.name)
    torch.default_generator.manual_seed(request.seed)
    made = factory(*request.args, **request.kwargs)
    modules, tensors = objects.describe(made, state.other_names[request.program])
    state.made[request.handle] = made
    return wire.Made(modules=modules, tensors=tensors)


def _outline(state: State, request: wire.Outline) -> wire.AnyReply:
    with objects.undrawn_weights():
        return _make(state, request)


def _set_mode(made: Any, training: bool, seed: int | None) -> None:
    if isinstance(made, nn.Module):
        made.train(training)
    if seed is not None:
        torch.default_generator.manual_seed(seed)


def _call(state: State, request: wire.Call) -> wire.AnyReply:
    made = state.made[request.handle]
    target = made.get_submodule(request.path) if request.path else made
    method = getattr(target, request.method, None)
    if method is None:
        return wire.NotFound(name=request.method)
    torch.set_num_threads(request.threads)
    args = request.args
    if request.gpu:
        args = gpu.moved(made, args)
    follow = steps.noted(target) if request.follow and isinstance(target, nn.Module) else nullcontext()
    _set_mode(made, request.training, request.seed)
    with follow as noted:
        if request.batch:
            parts = args[0].split(request.batch)
            shown = map(request.pixels, parts) if request.pixels is not None else parts
            value: Any = [method(part, *args[1:], **request.kwargs) for part in shown]
        else:
            value = method(*args, **request.kwargs)
    return wire.Value(value=objects.plain([value, noted or []] if request.follow else value))


def _call_function(state: State, request: wire.CallFunction) -> wire.AnyReply:
    function = getattr(state.programs.get(request.program), request.name, None)
    if function is None:
        return wire.NotFound(name=request.name)
    _set_mode(None, False, request.seed)
    return wire.Value(value=objects.plain(function(*request.args, **request.kwargs)))


def _get_state(state: State, request: wire.GetState | wire.SetState | wire.Randomise) -> wire.Value:
    return wire.Value(value=objects.plain(objects.named_tensors(state.made[request.handle])))


def _set_state(state: State, request: wire.SetState) -> wire.Value:
    own = objects.named_tensors(state.made[request.handle])
    for name, tensor in request.tensors.items():
        own[name].copy_(tensor)
    return _get_state(state, request)  # read anew


def _randomise(state: State, request: wire.Randomise) -> wire.Value:
    parameters = [
        (parameter, dtype)
        for _, parameter in state.made[request.handle].named_parameters(remove_duplicate=False)
        if (dtype := objects.dtype_of(parameter)) in FLOATING
    ]
    values = noise([(tuple(parameter.shape), dtype) for parameter, dtype in parameters], request.seed)
    for (parameter, _), value in zip(parameters, values, strict=True):
        parameter.copy_(value)
    return _get_state(state, request)


def _forget(state: State, request: wire.Forget) -> wire.Value:
    state.made.pop(request.handle, None)
    return wire.Value()


def _load_checkpoint(state: State, request: wire.LoadCheckpoint) -> wire.AnyReply:
    state.checkpoint, notes = weights.read(request.data, request.max_tensors)
    tensors = tuple(objects._info(name, "parameter", tensor) for name, tensor in state.checkpoint.items())
    return wire.Checkpoint(tensors=tensors, notes=notes)


def _load_weights(state: State, request: wire.LoadWeights) -> wire.Value:
    state.made[request.handle].load_state_dict(state.checkpoint, strict=True)
    return wire.Value()


def _transform(state: State, request: wire.Transform) -> wire.AnyReply:
    from PIL import Image

    transform = getattr(state.programs.get(request.program), request.name, None)
    if transform is None:
        return wire.NotFound(name=request.name)
    return wire.Value(value=torch.stack([transform(Image.fromarray(image)) for image in request.images.numpy()]))


HANDLERS: dict[type, Callable[[State, Any], wire.AnyReply]] = {
    wire.LoadProgram: _load_program,
    wire.Make: _make,
    wire.Outline: _outline,
    wire.Call: _call,
    wire.CallFunction: _call_function,
    wire.GetState: _get_state,
    wire.SetState: _set_state,
    wire.Randomise: _randomise,
    wire.Forget: _forget,
    wire.LoadCheckpoint: _load_checkpoint,
    wire.LoadWeights: _load_weights,
    wire.Transform: _transform,
}
