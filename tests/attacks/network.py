"""Reaching anything over a network: another machine, this machine, a name server, a socket in the file system."""

from attacks.attack import Attack


def _reaching(name: str, tries: str, code: str, needs: str = "") -> Attack:
    """An attack whose success is seen at the other end, or told."""
    lines = "\n".join("    " + line for line in code.strip().splitlines())
    code = f"try:\n{lines}\nexcept OSError:\n    pass"
    return Attack(name=name, tries=tries, code=code, weakened="no_walls", needs=needs)


ATTACKS = [
    _reaching(
        "tcp_to_this_machine",
        "connects to a server on this machine",
        'socket.create_connection(("127.0.0.1", FIELD["tcp"]), timeout=2).close()',
    ),
    _reaching(
        "udp_to_this_machine",
        "sends a datagram to this machine",
        'socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"loot", ("127.0.0.1", FIELD["udp"]))',
    ),
    _reaching(
        "dns_query",
        "sends what it knows as a question to a name server",
        """
question = b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4loot\\7example\\0\\0\\1\\0\\1"
resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
resolver.sendto(question, ("127.0.0.1", FIELD["udp"]))
""",
    ),
    _reaching(
        "unix_socket", "connects to a socket in the file system", 'socket.socket(socket.AF_UNIX).connect(FIELD["unix"])'
    ),
    _reaching(
        "abstract_socket",
        "connects to an abstract socket, which no file system hides",
        'socket.socket(socket.AF_UNIX).connect("\\0" + FIELD["abstract"])',
    ),
    _reaching("other_interfaces", "looks for a network beyond the loopback", """
tell([name for _, name in socket.if_nameindex() if name != "lo"])
""", needs="a network beyond the loopback"),
    _reaching("raw_packets", "opens a raw and a packet socket", """
for family, kind, protocol in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_PACKET, socket.SOCK_RAW, 768)):
    try:
        socket.socket(family, kind, protocol).close()
    except OSError:
        continue
    tell("a raw socket")
""", needs="root"),
    _reaching("serve_the_neighbours", "listens on a port for whoever is graded beside it", """
server = socket.create_server(("0.0.0.0", 0))
socket.create_connection(("127.0.0.1", server.getsockname()[1]), timeout=1).close()
socket.create_connection(("127.0.0.1", FIELD["tcp"]), timeout=1).close()
"""),
]  # fmt: skip
