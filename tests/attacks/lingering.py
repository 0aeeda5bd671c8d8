"""State left behind for the next submission, which looks for it."""

from attacks.attack import Attack


def _leaving(name: str, tries: str, code: str, then: str, weakened: str = "shared_worker", needs: str = "") -> Attack:
    return Attack(name=name, tries=tries, code=code, then=then, weakened=weakened, needs=needs)


ATTACKS = [
    _leaving("file_in_tmp", "leaves a file in /tmp",
             "with contextlib.suppress(OSError):\n    open('/tmp/mark', 'w').close()",
             "tell(os.path.exists('/tmp/mark'))"),
    _leaving("file_in_shm", "leaves a file in /dev/shm",
             "with contextlib.suppress(OSError):\n    open('/dev/shm/mark', 'w').close()",
             "tell(os.path.exists('/dev/shm/mark'))"),
    _leaving("patched_module", "leaves torch patched", "torch.mark = nn.Linear.mark = True",
             "tell(hasattr(torch, 'mark') or hasattr(nn.Linear, 'mark'))"),
    _leaving("builtin", "leaves a builtin of its own", "import builtins\nbuiltins.mark = True",
             "import builtins\ntell(hasattr(builtins, 'mark'))"),
    _leaving("environment", "leaves a variable in the environment", "os.environ['PYTHONPATH'] = '/tmp'",
             "tell(os.environ.get('PYTHONPATH'))"),
    _leaving("worker_patched", "leaves the worker's handlers replaced for the next one",
             "from grader.worker import serve\nserve.mark = True",
             "from grader.worker import serve\ntell(hasattr(serve, 'mark'))"),
    _leaving("thread_left", "leaves a thread that meddles with whatever is loaded next",
             "threading.Thread(target=time.sleep, args=(3,), daemon=True, name='mark').start()",
             "tell([thread.name for thread in threading.enumerate() if thread.name == 'mark'])"),
    _leaving("shared_memory", "leaves a segment of System V shared memory",
             "ctypes.CDLL(None).shmget(0x4d41524b, 64, 0o1666)",
             "number = ctypes.CDLL(None).shmget(0x4d41524b, 64, 0o666)\nif number >= 0:\n"
             "    ctypes.CDLL(None).shmctl(number, 0, None)\n    tell('a segment')", weakened="no_walls"),
    _leaving("message_queue", "leaves a message in a System V queue",
             "ctypes.CDLL(None).msgget(0x4d41524b, 0o1666)",
             "number = ctypes.CDLL(None).msgget(0x4d41524b, 0o666)\nif number >= 0:\n"
             "    ctypes.CDLL(None).msgctl(number, 0, None)\n    tell('a queue')", weakened="no_walls"),
    _leaving("key_in_the_keyring", "leaves a key in the user's keyring",
             "ctypes.CDLL(None).syscall(248, b'user', b'mark', b'loot', 4, -4)",
             "libc = ctypes.CDLL(None)\nkey = libc.syscall(250, 10, -4, b'user', b'mark', 0)\nif key > 0:\n"
             "    libc.syscall(250, 9, key, -4)  # KEYCTL_UNLINK\n    tell(key)",
             weakened="no_walls", needs="a kernel that keeps keys"),
    _leaving("server_left", "leaves a child that listens, for the next one to talk to", """
try:
    server = socket.socket(socket.AF_UNIX)
    server.bind("\\0mark-of-" + FIELD["child"])
    server.listen()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(15, FIELD["child"].encode(), 0, 0, 0)
        os.setsid()
        time.sleep(20)
        os._exit(0)
except OSError:
    pass
""", """
try:
    socket.socket(socket.AF_UNIX).connect("\\0mark-of-" + FIELD["child"])
except OSError:
    return None
tell("a server")
""", weakened="no_walls"),
    _leaving("interpreter_files", "leaves compiled files and a cache that the next one imports",
             "folder = os.path.dirname(torch.__file__)\ntry:\n    open(folder + '/mark.py', 'x').close()\n"
             "except OSError:\n    pass",
             "import importlib.util\nspec = importlib.util.find_spec('torch.mark')\nif spec:\n"
             "    os.unlink(spec.origin)\n    tell(spec.origin)", weakened="no_walls"),
]  # fmt: skip
