"""Walks through the stack, the heap and the interpreter in search of the answers or the checks."""

from attacks.attack import Attack

ATTACKS = [
    Attack(
        name="stack_walk",
        tries="walks up the stack to a frame that holds the oracle, and hands its answer on",
        code="""
            frame = sys._getframe()
            while frame:
                if "oracle" in frame.f_locals:
                    tell(frame.f_locals["oracle"])
                frame = frame.f_back
        """,
        every=True,
        weakened="judged_inside",
    ),
    Attack(
        name="source_of_the_checks",
        tries="reads the lines of the calling code with inspect.stack",
        code="""
            for entry in inspect.stack():
                for line in entry.code_context or ():
                    if "theirs" in line or "oracle" in line:
                        tell(line)
        """,
        every=True,
        weakened="judged_inside",
    ),
    Attack(
        name="traceback_walk",
        tries="catches an exception of its own and follows the frames of its traceback upwards",
        code="""
            try:
                raise ValueError
            except ValueError as error:
                frame = error.__traceback__.tb_frame
            while frame.f_back:
                frame = frame.f_back
                if "item" in frame.f_locals:
                    tell(frame.f_locals["item"])
        """,
        every=True,
        weakened="judged_inside",
    ),
    Attack(
        name="all_threads",
        tries="looks through the frames of every thread with sys._current_frames",
        code="""
            for frame in sys._current_frames().values():
                while frame:
                    tell([name for name in frame.f_locals if name in ("grading", "assignment", "outcomes")])
                    frame = frame.f_back
        """,
        every=True,
        weakened="judged_inside",
    ),
    Attack(
        name="gc_walk",
        tries="looks among all objects for a module of the reference or an oracle",
        code="""
            for thing in gc.get_objects():
                if type(thing).__name__ in ("Oracle", "Grading", "Mutant") or "solution_" in type(thing).__module__:
                    tell(type(thing))
        """,
        weakened="judged_inside",
    ),
    Attack(
        name="subclass_walk",
        tries="looks among the subclasses of object for classes of the trusted side",
        code="""
            tell([kind for kind in object.__subclasses__() if kind.__name__ in ("Oracle", "Student", "ClassProxy")])
        """,
        weakened="judged_inside",
    ),
    Attack(
        name="modules_walk",
        tries="looks in sys.modules for the checks and for the trusted half of the grader",
        code="""
            tell([name for name in sys.modules if name.startswith(("grader.checking", "checks.", "pytest", "test_"))])
        """,
        weakened="judged_inside",
    ),
    Attack(
        name="module_search",
        tries="imports the trusted half of the grader, or the checks, from wherever they lie",
        code="""
            found = []
            for name in ("grader.checking", "grader.assignment", "grader.pipeline", "layer_parts"):
                try:
                    found.append(__import__(name))
                except ImportError:
                    pass
            tell(found)
        """,
        weakened="no_walls",
    ),
    Attack(
        name="heap_search",
        tries="reads its own memory byte by byte in search of what the checks or the reference hold",
        code="""
            try:
                maps = open("/proc/self/maps").read().splitlines()
                memory = open("/proc/self/mem", "rb", 0)
            except OSError:
                return None
            for line in maps:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if " rw-p " in line and end - start < 1 << 28:
                    try:
                        memory.seek(start)
                        found = re.search(b"CANARY-[0-9a-f]{16}", memory.read(end - start))
                    except (OSError, ValueError):
                        continue
                    tell(found and found[0])
        """,
        weakened="judged_inside",
    ),
    Attack(
        name="stand_in_told",
        tries="keeps the code of the stand-in that it is judged upon, and later tells it in an error message",
        code="""
            code = MultiHeadAttention.forward.__code__
            torch._codes = getattr(torch, "_codes", set()) | {(code.co_firstlineno, code.co_names, code.co_code)}
            if len(torch._codes) > 1:
                tell(torch._codes)
        """,
        every=True,
        work="wrong",
        weakened="one_worker_for_stand_ins",
    ),
]
