"""Ending the process, or the grader's, in every way that there is."""

from attacks.attack import Attack


def _ending(
    name: str, tries: str, code: str, verdict: str, at: str = "forward", costs: float = 0, **more: str
) -> Attack:
    return Attack(
        name=name,
        tries=tries,
        code=code,
        at=at,  # type: ignore[arg-type]
        every=True,
        costs={"encoder": costs or (8 if verdict == "died" else 6)},
        verdict=verdict,
        **({"weakened": "judged_inside"} | more),  # type: ignore[arg-type]
    )


ATTACKS = [
    _ending("os_exit", "leaves with os._exit(0), before anybody can count", "os._exit(0)", "died"),
    _ending("os_exit_in_class", "the same while the class is defined", "os._exit(0)", "died", at="class", costs=8),
    _ending("system_exit", "raises SystemExit(0)", "sys.exit(0)", "raised"),
    _ending("keyboard_interrupt", "raises KeyboardInterrupt, as if the teacher had pressed Ctrl-C",
            "raise KeyboardInterrupt", "raised"),
    _ending("skip_the_check", "raises pytest's own Skipped, Exit or xfail, or something named like it",
            """
            try:
                from _pytest.outcomes import Skipped as Kind
            except ImportError:
                class Kind(BaseException): pass
            raise Kind("not for me")
            """, "raised"),
    _ending("base_exception", "raises an exception that cannot be printed and is not an Exception",
            """
            class Odd(BaseException):
                def __str__(self): raise Odd
                __repr__ = __str__
            raise Odd
            """, "raised"),
    _ending("exception_group", "raises an exception whose cause, context and class lie about themselves",
            """
            class Liar(Exception):
                __class__ = property(lambda self: KeyboardInterrupt)
                __cause__ = property(lambda self: self)
                __traceback__ = property(lambda self: None, lambda self, value: None)
            raise Liar
            """, "raised", weakened="believes_exceptions"),
    _ending("recursion", "recurses without end, and leaves so low a limit that whoever called it cannot go on either",
            """
            class Last:
                def __del__(self):  # once the caller has dropped the traceback
                    for limit in range(1, 1000):
                        try:
                            return sys.setrecursionlimit(limit)  # the lowest that is not below the present depth
                        except RecursionError:
                            pass
            def deeper(last): return deeper(last)
            return deeper(Last())
            """, "died"),
    _ending("stack_overflow", "recurses in C, past Python's own limit", """
            sys.setrecursionlimit(1 << 30)
            class Deep:
                def __repr__(self): return repr([self])
            threading.stack_size(0)
            repr(Deep())
            """, "died"),
    _ending("segfault", "reads address zero", "ctypes.string_at(0)", "died"),
    _ending("abort", "aborts", "os.abort()", "died"),
    _ending("other_program", "replaces itself by another program",
            """
            try:
                os.execv("/bin/true", ["true"])
            except OSError:
                os._exit(0)
            """, "died"),
    _ending("kills_itself", "sends itself every signal", """
            for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV):
                try:
                    os.kill(os.getpid(), number)
                except OSError:
                    pass
            os._exit(3)
            """, "died"),
    _ending("forged_place", "raises from code that claims to stand in a cell that is not there",
            "exec(compile('raise ValueError(0)', 'cell 99999', 'exec'))", "raised", weakened="believes_exceptions"),
    _ending("endless_place", "raises from code that claims a cell of five thousand digits",
            "exec(compile('raise ValueError(0)', 'cell ' + '9' * 5000, 'exec'))", "raised",
            weakened="believes_exceptions"),
]  # fmt: skip
