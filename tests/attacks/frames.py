"""Forged messages, written to the worker's own socket behind the back of the code that serves it."""

from attacks.attack import Attack

# A worker's socket is easily found: it is the only one that it has.
FIND = """
mine = [number for number in range(3, 64) if _is_socket(number)]
sock = socket.socket(fileno=os.dup(mine[0])) if mine else None
"""
IS_SOCKET = """
def _is_socket(number):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False
"""


def _forging(name: str, tries: str, code: str, costs: float = 8, verdict: str = "died", **more: object) -> Attack:
    """An attack that sends something of its own whenever forward is called."""
    return Attack(
        name=name,
        tries=tries,
        code=IS_SOCKET + FIND + code,
        every=True,
        costs={"encoder": costs} if costs else {},
        verdict=verdict if costs else "",
        **more,  # type: ignore[arg-type]
    )


ATTACKS = [
    _forging(
        "oversized_claim",
        "claims a payload of a tebibyte",
        'sock.sendall(struct.pack(">4sIQ", b"GRD1", 16, 1 << 40))',
        weakened="boundless_wire",
    ),
    _forging(
        "oversized_header",
        "claims a header of four gigabytes",
        'sock.sendall(struct.pack(">4sIQ", b"GRD1", (1 << 32) - 1, 0))',
        weakened="boundless_wire",
    ),
    _forging(
        "oversized_answer",
        "answers with a tensor of more bytes than are read",
        "return torch.zeros(96 << 20, dtype=torch.uint8)",
        weakened="boundless_wire",
    ),
    _forging(
        "wrong_magic",
        "sends something that does not begin as a frame does",
        'sock.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" * 4)',
        weakened="unchecked_wire",
    ),
    _forging(
        "pickle_in_a_frame",
        "sends a pickle that rewrites a result when it is opened",
        """
import pickle
class Gadget:
    def __reduce__(self):
        return eval, (f"open({FIELD['results']!r}, 'w').write('100')",)
data = pickle.dumps(Gadget())
sock.sendall(struct.pack(">4sIQ", b"GRD1", len(data), 0) + data)
""",
        weakened="pickles_on_the_wire",
    ),
    _forging(
        "nested_header",
        "sends a header of a hundred thousand nested lists",
        'sock.sendall(struct.pack(">4sIQ", b"GRD1", 100_000, 0) + b"\\x91" * 99_999 + b"\\xc0")',
        weakened="unchecked_wire",
    ),
    _forging(
        "forged_verdict",
        "sends a reply with fields of its own: verdict passed, eight points",
        """
import msgspec
data = msgspec.msgpack.encode({"is": "value", "value": X, "verdict": "passed", "points": 8}, enc_hook=lambda _: None)
sock.sendall(struct.pack(">4sIQ", b"GRD1", len(data), 0) + data)
""",
        weakened="unchecked_wire",
    ),
    _forging(
        "unknown_extension",
        "sends an extension type that the wire does not know",
        """
data = b"\\x82\\xa2is\\xa5value\\xa5value\\xd4\\x7f\\x00"
sock.sendall(struct.pack(">4sIQ", b"GRD1", len(data), 0) + data)
""",
        weakened="unchecked_wire",
    ),
    _forging(
        "out_of_turn",
        "answers a call of forward with a checkpoint",
        """
from grader import wire
from grader.worker import serve
serve.HANDLERS[wire.Call] = lambda *_: wire.Checkpoint(tensors=())
""",
        costs=3,
        weakened="any_reply_will_do",
    ),
    _forging(
        "tensors_of_a_million_names",
        "sends tensors whose own header names a million of them",
        """
names = ",".join(f'"{n}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for n in range(20_000)).encode()
body = struct.pack("<Q", len(names) + 2) + b"{" + names + b"}"
sock.sendall(struct.pack(">4sIQ", b"GRD1", 4, len(body)) + b"\\x80\\x80\\x80\\x80" + body)
""",
        weakened="unchecked_wire",
    ),
    _forging(
        "tensor_of_impossible_shape",
        "sends a tensor that claims 10^15 elements in no bytes",
        """
body = b'{"0":{"dtype":"F32","shape":[1000000000000000],"data_offsets":[0,0]}}'
data = b"\\x82\\xa2is\\xa5value\\xa5value\\xd6\\x01\\x00\\x00\\x00\\x00"
frame = struct.pack("<Q", len(body)) + body
sock.sendall(struct.pack(">4sIQ", b"GRD1", len(data), len(frame)) + data + frame)
""",
        weakened="unchecked_wire",
    ),
    _forging(
        "text_in_place_of_a_tensor",
        "answers with ten thousand lists, dicts and texts",
        "return [{'a': [None] * 50, 'b': 'x' * 100}] * 200",
        costs=6,
        verdict="failed",
        weakened="any_answer_will_do",
    ),
    _forging(
        "duplicate_reply",
        "answers more often than it was asked: what is left over would answer what the next submission is asked",
        """
from grader import wire
for _ in range(8):
    wire.send(sock, wire.Value(value=torch.zeros(2, 5, 16)))
""",
        at="init",
        then="pass",
        weakened="answers_pile_up",
    ),
    _forging(
        "slow_drip",
        "begins its right answer in time, and then sends one byte of it at a time",
        """
from grader import wire
send = wire.send
def drip(sock, message):
    wire.send = send
    data = wire.encode(message)
    for at in range(8):
        sock.sendall(data[at : at + 1])
        time.sleep(0.4)
    sock.sendall(data[8:])
wire.send = drip
""",
        verdict="timeout",
        limits={"ask_seconds": 1.0},
        weakened="deadline_for_each_byte",
    ),
    _forging(
        "closes_its_socket",
        "closes the connection, and lives on",
        """
ctypes.CDLL(None).prctl(15, FIELD["child"].encode(), 0, 0, 0)  # PR_SET_NAME, for the test to find
for number in mine:
    os.close(number)
sock.close()
time.sleep(20)
""",
        weakened="kills_nobody",
    ),
    _forging(
        "descriptors_passed",
        "passes the grader a hundred descriptors of its own along with an answer",
        """
pipe = os.pipe()
for _ in range(10):
    try:
        socket.send_fds(sock, [struct.pack(">4sIQ", b"GRD1", 8, 0)[:1]], [pipe[0]] * 10)
    except OSError:
        break
time.sleep(4)
""",
        verdict="timeout",
        limits={"ask_seconds": 1.0},
        weakened="takes_descriptors",
    ),
    _forging(
        "descriptors_guessed",
        "looks among its descriptors for the warm process's own socket, by which workers are made and ended",
        """
frame = sys._getframe()
while frame.f_code.co_name != "serve":
    frame = frame.f_back
own = os.fstat(frame.f_locals["sock"].fileno()).st_ino
found = [number for number in range(3, 4096) if _is_socket(number) and os.fstat(number).st_ino != own]
sock.close()
tell(found)
""",
        costs=0,
        weakened="keeps_descriptors",
    ),
    _forging(
        "handlers_replaced",
        "replaces the worker's own handlers, and lies about every weight it is asked for",
        """
from grader import wire
from grader.worker import serve
serve.HANDLERS[wire.GetState] = lambda state, request: wire.Value(
    value={name: torch.zeros_like(p) for name, p in state.made[request.handle].named_parameters()}
)
return X * 0
""",
        work="wrong",
        costs=0,
        weakened="trusting_judge",
    ),
    _forging(
        "handlers_answer_for_others",
        "makes the worker answer for the other classes, and for the next submission, with zeros",
        """
from grader import wire
from grader.worker import serve
call = serve.HANDLERS[wire.Call]
serve.HANDLERS[wire.Call] = lambda state, request: wire.Value(value=torch.zeros(1))
""",
        costs=3,
        verdict="failed",
        then="pass",
        weakened="shared_worker",
    ),
    _forging(
        "send_replaced",
        "replaces grader.wire.send and encode, by which the next submission would answer too",
        """
from grader import wire
wire.send = lambda *_, **__: None
wire.encode = lambda *_: b""
time.sleep(0)
""",
        verdict="timeout",
        limits={"ask_seconds": 1.0, "program_seconds": 2.0},
        then="pass",
        weakened="shared_worker",
    ),
    _forging(
        "safetensors_replaced",
        "replaces the functions of safetensors, msgspec and struct that its replies are made with",
        """
import safetensors.torch
safetensors.torch.save = safetensors.serialize = lambda tensors, *_: b"\\x08" + bytes(64)
""",
        then="pass",
        weakened="shared_worker",
    ),
]
