"""Using up memory, time, disk, processes, files or patience: small limits stand for the real ones."""

from attacks.attack import Attack

QUICK = {"ask_seconds": 1.0}
LAST = (
    "mask = ctypes.CDLL(None).prctl(15, FIELD['child'].encode(), 0, 0, 0)  # PR_SET_NAME: so that a test can find it\n"
)


def _spending(
    name: str, tries: str, code: str, costs: float = 0, verdict: str = "", weakened: str = "no_limits", **more: object
) -> Attack:
    """An attack that uses something up; with costs, in every forward."""
    return Attack(
        name=name,
        tries=tries,
        code=code,
        every=bool(costs),
        costs={"encoder": costs} if costs else {},
        verdict=verdict,
        weakened=weakened,
        **more,  # type: ignore[arg-type]
    )


ATTACKS = [
    _spending(
        "memory_touched",
        "writes to four gigabytes of memory",
        "return X + len(bytearray(4 << 30)) * 0",
        costs=6,
        verdict="memory",
    ),
    _spending(
        "memory_in_torch",
        "asks torch for a tensor of four gigabytes",
        "return X + torch.empty(4 << 30, dtype=torch.uint8)[0] * 0",
        costs=6,
        verdict="memory",
    ),
    _spending(
        "memory_mapped",
        "maps eight gigabytes without touching them",
        """
        try:
            tell(len(mmap.mmap(-1, 8 << 30)))
        except OSError:
            pass
        """,
    ),
    _spending(
        "memory_shared",
        "fills /dev/shm with 100 MB, which no limit of a process counts",
        """
        try:
            for number in range(25):
                open(f"/dev/shm/{FIELD['child']}-{number}", "wb").write(bytes(4 << 20))
        except OSError:
            return None
        tell("100 MB")
        """,
    ),
    _spending(
        "memory_in_files",
        "fills memory files (memfd) with 200 MB, which no limit of a process counts",
        """
        kept = []
        try:
            for _ in range(25):
                kept.append(os.memfd_create("x"))
                os.write(kept[-1], bytes(8 << 20))
        except OSError:
            return None
        finally:
            for number in kept:
                os.close(number)
        tell("200 MB")
        """,
        weakened="lets_memory_files_be",
    ),
    _spending(
        "disk_filled",
        "fills /tmp with 100 MB",
        """
        try:
            for number in range(25):
                open(f"/tmp/{number}", "wb").write(bytes(4 << 20))
        except OSError:
            return None
        tell("100 MB")
        """,
    ),
    _spending(
        "large_file",
        "writes a sparse file of a terabyte",
        """
        try:
            with open("/tmp/large", "wb") as file:
                file.truncate(1 << 40)
        except OSError:
            return None
        os.unlink("/tmp/large")
        tell("1 TB")
        """,
    ),
    _spending(
        "inodes",
        "makes ten thousand empty files",
        """
        import shutil
        folder = "/tmp/" + FIELD["child"]
        try:
            os.mkdir(folder)
            for number in range(10_000):
                open(f"{folder}/{number}", "w").close()
        except OSError:
            return None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        tell("10,000 files")
        """,
        weakened="no_inode_limit",
    ),
    _spending(
        "open_files",
        "opens a thousand descriptors",
        """
        kept = []
        try:
            for _ in range(1000):
                kept.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            return None
        finally:
            for number in kept:
                os.close(number)
        tell("1000 descriptors")
        """,
    ),
    _spending(
        "output_flood",
        "prints a hundred megabytes to standard output and standard error, to fill a log",
        """
        try:
            for _ in range(100):
                print("x" * (1 << 20))
                print("x" * (1 << 20), file=sys.stderr)
        except OSError:
            pass
        tell([size for number in (1, 2) if (size := os.fstat(number).st_size)])
        """,
        weakened="keeps_descriptors",
    ),
    _spending(
        "long_message",
        "raises an exception whose message is ten megabytes long",
        'raise ValueError("x" * 10_000_000)',
        costs=6,
        verdict="raised",
        weakened="cuts_nothing",
    ),
    _spending(
        "cpu_spin",
        "spins for longer than it may",
        """
        until = time.monotonic() + 4
        while time.monotonic() < until:
            pass
        """,
        costs=8,
        verdict="timeout",
        limits=QUICK,
        weakened="no_deadlines",
    ),
    _spending(
        "sleep", "sleeps for longer than it may", "time.sleep(4)", costs=8, verdict="timeout", limits=QUICK,
        weakened="no_deadlines",
    ),
    _spending(
        "deadlock_that_ignores_signals",
        "blocks all signals and waits for a lock that it holds itself",
        """
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        lock = threading.Lock()
        lock.acquire()
        lock.acquire(timeout=4)
        """,
        costs=8,
        verdict="timeout",
        limits=QUICK,
        weakened="no_deadlines",
    ),
    _spending(
        "regular_expression",
        "hangs inside a single call of C code",
        'limit = 27; re.match("(a+)+$", "a" * limit + "b")',
        costs=8,
        verdict="timeout",
        limits=QUICK,
        weakened="no_deadlines",
    ),
    _spending(
        "hangs_while_defined",
        "hangs in the body of its class",
        "time.sleep(4)",
        at="class",
        costs=8,
        verdict="timeout",
        limits={"program_seconds": 1.0},
        weakened="no_deadlines",
    ),
    _spending(
        "threads",
        "starts two hundred threads",
        """
        stop = threading.Event()
        started = []
        threading.stack_size(65536)
        try:
            for _ in range(200):
                thread = threading.Thread(target=stop.wait, daemon=True)
                thread.start()
                started.append(thread)
        except RuntimeError:
            return None
        finally:
            stop.set()
        tell(len(started) if len(started) > FIELD["most"] else 0)
        """,
    ),
    _spending(
        "fork_bomb",
        "forks two hundred children that wait",
        """
        children = []
        try:
            for _ in range(200):
                child = os.fork()
                if child == 0:
                    time.sleep(5)
                    os._exit(0)
                children.append(child)
        except OSError:
            pass
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        tell(len(children) if len(children) > FIELD["most"] else 0)
        """,
        weakened="no_walls",
    ),
    _spending(
        "zombies",
        "leaves two hundred ended children that nobody waits for",
        """
        made = 0
        try:
            for made in range(200):
                if os.fork() == 0:
                    os._exit(0)
        except OSError:
            pass
        tell(made if made > FIELD["most"] else 0)
        """,
        weakened="no_walls",
    ),
    _spending(
        "daemon",
        "leaves a child in a session of its own, to live on after the submission",
        """
        try:
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    ctypes.CDLL(None).prctl(15, FIELD["child"].encode(), 0, 0, 0)  # its name, for the test to find
                    time.sleep(20)
                os._exit(0)
        except OSError:
            pass
        """,
        weakened="no_walls",
    ),
]  # fmt: skip
