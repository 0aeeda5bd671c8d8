"""Patched torch, patched builtins and hooks of the interpreter: a wrong encoder that makes the judge say yes."""

from attacks.attack import Attack

ATTACKS = [
    Attack(
        name="comparisons_say_yes",
        tries="patches torch.allclose, isclose and equal so that all tensors are equal",
        code="""
            for name in ("allclose", "isclose", "equal"):
                setattr(torch, name, lambda *_, **__: torch.tensor(True))
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="nothing_is_ever_true",
        tries="patches Tensor.any, all and __bool__, by which a comparison is read",
        code="""
            torch.Tensor.any = lambda *_, **__: torch.tensor(False)
            torch.Tensor.all = lambda *_, **__: torch.tensor(True)
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="tensor_eq",
        tries="patches Tensor.__eq__, __ne__, __sub__ and abs, so that differences vanish",
        code="""
            torch.Tensor.__eq__ = lambda a, b: torch.ones_like(a, dtype=torch.bool)
            torch.Tensor.__ne__ = lambda a, b: torch.zeros_like(a, dtype=torch.bool)
            torch.isclose = lambda a, b, **_: a == b
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="always_equal_tensor",
        tries="returns a tensor subclass whose __torch_function__ answers every comparison with True",
        code="""
            class Agreeable(torch.Tensor):
                @classmethod
                def __torch_function__(cls, func, types, args=(), kwargs=None):
                    if func.__name__ in ("isclose", "allclose", "equal", "eq"):
                        return torch.tensor(True)
                    return super().__torch_function__(func, types, args, kwargs or {})
            return torch.zeros_like(X).as_subclass(Agreeable)
        """,
        every=True,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="poses_as_a_tensor",
        tries="returns an object whose __class__ claims to be torch.Tensor and that agrees with everything",
        code="""
            class Pose:
                __class__ = torch.Tensor
                shape, layout = X.shape, torch.strided
                detach = double = to_dense = lambda self: self
                dim = lambda self: 3
                @classmethod
                def __torch_function__(cls, func, types, args=(), kwargs=None):
                    return torch.tensor(True)
            return Pose()
        """,
        every=True,
        work="wrong",
        costs={"encoder": 1},
        verdict="raised",
        weakened="judged_inside",
    ),
    Attack(
        name="isinstance_says_yes",
        tries="patches builtins.isinstance, so that whatever a check raises passes for a check that was skipped",
        code="""
            from grader import errors
            errors.Fault._use_item_location = False  # as one that was skipped has it
            plain, forged = builtins.isinstance, {"Fault": False, "Skipped": True}
            builtins.isinstance = lambda value, kind: forged.get(
                getattr(kind, "__name__", ""), plain(value, kind)
            )
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="assertions_removed",
        tries="replaces assert_close in every loaded module that has one",
        code="""
            for module in list(sys.modules.values()):
                if hasattr(module, "assert_close"):
                    module.assert_close = lambda *_, **__: None
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="faults_that_earn",
        tries="patches the grader's exception, so that a failed check keeps its whole share of the points",
        code="""
            from grader import errors
            before = errors.Failed.__init__
            def earn(self, message, evidence=None, share=1.0):
                before(self, message, evidence, 1.0)
            errors.Failed.__init__ = earn
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="judge_replaced",
        tries="replaces the function that turns an exception into a verdict",
        code="""
            plugin = sys.modules.get("grader.pytest_plugin")
            if plugin:
                plugin._judge = lambda *_: ("passed", 1.0, "", {})
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="verdicts_replaced",
        tries="puts a module of its own in place of grader.rubric, in which every outcome has passed",
        code="""
            rubric = sys.modules.get("grader.rubric")
            if rubric:
                class Outcome(rubric.Outcome):
                    share = property(lambda self: 1.0)
                fake = types.ModuleType("grader.rubric")
                fake.__dict__.update(vars(rubric), Outcome=Outcome)
                sys.modules["grader.rubric"] = fake
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="json_rewritten",
        tries="patches json.dumps and msgspec's encoder, so that what is written says full marks",
        code="""
            import msgspec
            encode, dumps = msgspec.json.encode, json.dumps
            pattern = rb'"points":[0-9.]+,"max_points":([0-9.]+)'
            full = lambda data: re.sub(pattern, rb'"points":\\1,"max_points":\\1', data)
            msgspec.json.encode = lambda value, **more: full(encode(value, **more))
            json.dumps = lambda value, **more: full(dumps(value, **more).encode()).decode()
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="builtins_that_count",
        tries="patches a builtin that a judge counts points with",
        code="""
            import builtins
            real = builtins.min
            builtins.min = lambda *values, **more: 1.0 if values[1:] == (1.0,) else real(*values, **more)
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="import_hook",
        tries="installs an import hook that swaps the grader's own diagnosis for code that rewrites a result",
        code="""
            class Finder:
                def find_spec(self, name, path=None, target=None):
                    if name.startswith(("grader.checking", "grader.report", "pytest", "_pytest")):
                        open(FIELD["results"], "w").write("100")
            sys.meta_path.insert(0, Finder())
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="sys_modules",
        tries="puts fakes of pytest, grader.checking and grader.records into sys.modules",
        code="""
            for name in ("pytest", "grader.checking", "grader.checking.diagnosis"):
                fake = types.ModuleType(name)
                fake.suspects = lambda *_: {}
                fake.diagnose = lambda *_: open(FIELD["results"], "w").write("100") and None
                fake.same = lambda *_: True
                sys.modules[name] = fake
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="audit_hook",
        tries="listens with sys.addaudithook for the moment in which the reference is executed, and tells its names",
        code="""
            if not hasattr(torch, "_heard"):
                torch._heard = []
                def listen(event, arguments):
                    if event == "exec" and "solution of" in str(arguments):
                        torch._heard.append(arguments[0].co_names)
                sys.addaudithook(listen)
            tell(torch._heard)
        """,
        every=True,
        work="wrong",  # then the reference is executed once more, upon stand-ins
        weakened="judged_inside",
    ),
    Attack(
        name="profile_hook",
        tries="watches every call with sys.setprofile for a frame that holds the expected tensor",
        code="""
            if not hasattr(torch, "_seen"):
                torch._seen = []
                def watch(frame, event, argument):
                    wanted = frame.f_locals.get("wanted", frame.f_locals.get("expected"))
                    if isinstance(wanted, torch.Tensor) and not torch._seen:
                        torch._seen.append(tuple(wanted.shape))
                sys.setprofile(watch)
            tell(torch._seen)
        """,
        every=True,
        weakened="judged_inside",
    ),
    Attack(
        name="atexit_rewrites",
        tries="registers an atexit function that rewrites another student's result when the process ends",
        code="""
            import atexit
            atexit.register(lambda path=FIELD["results"]: open(path, "w").write("100"))
        """,
        at="class",
        weakened="judged_inside",
    ),
    Attack(
        name="del_rewrites",
        tries="leaves an object whose __del__ rewrites a result when it is collected",
        code="""
            class Last:
                def __del__(self, path=FIELD["results"], open=open):
                    open(path, "w").write("100")
            one = Last()
            del one
        """,
        at="class",
        weakened="judged_inside",
    ),
    Attack(
        name="signal_handlers",
        tries="takes over every signal: a timer then raises in the middle of whatever runs",
        code="""
            def rewrite(*_):
                open(FIELD["results"], "w").write("100")
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                try:
                    signal.signal(number, rewrite if number == signal.SIGUSR1 else signal.SIG_IGN)
                except OSError:
                    pass
            os.kill(os.getpid(), signal.SIGUSR1)
        """,
        every=True,
        costs={"encoder": 6},
        verdict="raised",
        weakened="judged_inside",
    ),
    Attack(
        name="metaclass",
        tries="has a metaclass that claims to be every class, equal to everything, and a child of all",
        code="""
            class Anything(type):
                __instancecheck__ = __subclasscheck__ = __eq__ = lambda *_: True
                __hash__ = lambda self: 0
            class Fault(Exception, metaclass=Anything): pass
            from grader import errors
            for name, kind in list(vars(errors).items()):
                if isinstance(kind, type) and issubclass(kind, Exception):
                    setattr(errors, name, Fault)
        """,
        work="wrong",
        weakened="judged_inside",
    ),
    Attack(
        name="forged_weights",
        tries="overrides named_parameters so that the judge sees zeros, and never sets the real weights",
        code="""
            own = lambda: nn.Module.named_parameters(self)
            zeros = lambda *_, **__: [(name, nn.Parameter(torch.zeros_like(p))) for name, p in own()]
            object.__setattr__(self, "named_parameters", zeros)
        """,
        at="init",
        every=True,
        work="wrong",
        weakened="trusting_judge",
    ),
    Attack(
        name="weights_rewritten",
        tries="sets its own weights to zero while it is asked, so that a reference with the same weights agrees",
        code="""
            for parameter in self.parameters():
                parameter.data.zero_()
            return X * 0
        """,
        every=True,
        work="wrong",
        weakened="trusting_judge",
    ),
    Attack(
        name="weights_of_nan",
        tries="sets its weights to NaN and answers NaN, which is never further away than it may be",
        code="""
            for parameter in self.parameters():
                parameter.data.fill_(float("nan"))
            return X * float("nan")
        """,
        every=True,
        work="wrong",
        weakened="nan_is_no_difference",
    ),
]
