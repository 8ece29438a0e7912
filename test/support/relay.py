"""A hostile network: ends TLS in front of an ec2sim that runs with --plain.

    with Sim("--plain") as sim, Relay(sim.port, regions) as relay:
        relay.set_fault("eu-west-1", "reset-mid-page", times=1)
        run_event(event(), env=dict(sim.env, **relay.env))

It plays ec2.REGION.localhost for every region on one port, each with its own
certificate. What it does wrong is set for each region, at any time: DOOR and
ANSWERS list the kinds. Everything runs on a thread of its own; the methods
without an underscore are for the test's thread.
"""

import array
import asyncio
import collections
import concurrent.futures
import ctypes
import fcntl
import gzip
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import termios
import threading
import zlib

OTHER_HOST = "us-elsewhere-1"  # nothing may ever be sent there

# A BPF program that drops every segment before TCP sees it, so that nothing
# is acknowledged: a black hole, without privileges.
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
_DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
_DROP_ALL = struct.pack("@HP", 1, ctypes.addressof(_DROP))


def swallow(sock):
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, _DROP_ALL)


def is_sent(sock):
    """Whether the peer's kernel has acknowledged everything."""
    left = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, left)
    return left[0] == 0


# --- certificates ---------------------------------------------------------

OPENSSL_CONFIG = """\
[req]
distinguished_name = name
[name]
[ca]
default_ca = here
[here]
database = {dir}/index.txt
new_certs_dir = {dir}
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
[leaf]
subjectAltName = DNS:{host}
"""


class Certificates:
    """Made with openssl(1), in a directory of their own; one key for all."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="relay."))
        self.key = self.dir / "key.pem"
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout",
                      "-out", self.key)
        (self.dir / "index.txt").touch()
        self.ca = self._root("ca")
        self._strange_ca = self._root("strange-ca")
        self._contexts = {}

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)

    def _root(self, name):
        path = self.dir / f"{name}.pem"
        self._openssl("req", "-x509", "-new", "-key", self.key, "-days", 2,
                      "-subj", f"/CN={name}", "-out", path)
        return path

    def _leaf(self, path, host, dates, issuer):
        config, request = path.with_suffix(".cnf"), path.with_suffix(".csr")
        config.write_text(OPENSSL_CONFIG.format(dir=self.dir, host=host))
        self._openssl("req", "-new", "-config", config, "-key", self.key,
                      "-subj", f"/CN={path.stem}", "-out", request)
        by = (["-selfsign"] if issuer is None else ["-cert", issuer])
        self._openssl("ca", "-batch", "-notext", "-config", config, "-keyfile",
                      self.key, *by, "-extensions", "leaf", *dates, "-in",
                      request, "-out", path)

    def context(self, region, kind="good"):
        """The server's side of TLS for a region; kind as in DOOR."""
        if (region, kind) not in self._contexts:
            path = self.dir / f"{region}.{kind}.pem"
            host = OTHER_HOST if kind == "cert-other-host" else region
            dates = (("-startdate", "20200101000000Z", "-enddate",
                      "20200201000000Z") if kind == "cert-expired"
                     else ("-days", "2"))
            issuer = {"cert-self-signed": None,
                      "cert-unknown-root": self._strange_ca}.get(kind, self.ca)
            self._leaf(path, f"ec2.{host}.localhost", dates, issuer)
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            made.load_cert_chain(path, self.key)
            self._contexts[region, kind] = made
        return self._contexts[region, kind]


# --- one connection -------------------------------------------------------


class Gone(Exception):
    """The client has closed the connection, or we have."""


class Link:
    """A client's connection: TLS in memory over a plain asyncio stream."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = None
        self.socket = writer.get_extra_info("socket")
        self.region = None
        self.fault, self.fault_arg = None, None  # of the door
        self.idle = False
        # So that drain() means: everything is with the kernel.
        writer.transport.set_write_buffer_limits(0)

    async def _flush(self):
        data = self._out.read()
        if data:
            try:
                self._writer.write(data)
                await self._writer.drain()
            except OSError:
                raise Gone from None

    async def _fill(self):
        try:
            data = await self._reader.read(65536)
        except OSError:
            data = b""
        if not data:
            raise Gone
        self._in.write(data)

    async def handshake(self, context):
        """Stops before the first byte is sent if the door has a fault."""
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        while True:
            try:
                self._tls.do_handshake()
                await self._flush()
                return
            except ssl.SSLWantReadError:
                if self.fault in ("accept-close", "tls-hang"):
                    return
                if self.fault == "slow-handshake":
                    self.fault = None
                    await asyncio.sleep(self.fault_arg)
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                await self._flush()
                raise Gone from None

    async def read(self):
        while True:
            try:
                data = self._tls.read(65536)
                if not data:
                    raise Gone
                return data
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                raise Gone from None

    async def send(self, data):
        for start in range(0, len(data), 65536):
            self._tls.write(data[start:start + 65536])
            await self._flush()

    async def wait_for_end(self):
        """Takes and forgets what comes, until the client is gone."""
        while True:
            await self._fill()
            self._in.read()

    async def reset(self):
        """RST, once the client has everything that was sent."""
        while not is_sent(self.socket):
            await asyncio.sleep(0.001)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        raise Gone

    def close(self):
        self._writer.close()


# --- answers, and what is done to them ------------------------------------


class Answer:
    """What the simulator said."""

    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.status_line = lines[0]
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
        self.body = body

    def get(self, name):
        return next((value for n, value in self.headers
                     if n.lower() == name.lower()), None)

    def drop(self, *names):
        names = [name.lower() for name in names]
        self.headers = [h for h in self.headers if h[0].lower() not in names]

    def head(self, **more):
        """As bytes; Content_Length=7 sets that header, None removes it."""
        more.setdefault("Content_Length", len(self.body))
        more = {name.replace("_", "-"): value for name, value in more.items()}
        self.drop(*more)
        headers = [*self.headers, *more.items()]
        lines = [self.status_line, *(f"{name}: {value}" for name, value
                                     in headers if value is not None)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @property
    def text(self):
        zipped = self.get("Content-Encoding") == "gzip"
        return gzip.decompress(self.body) if zipped else self.body

    @text.setter
    def text(self, plain):
        zipped = self.get("Content-Encoding") == "gzip"
        self.body = gzip.compress(plain, 1) if zipped else plain

    def be_gzip(self, body):
        self.status_line = "HTTP/1.1 200 OK"
        self.drop("Content-Encoding")
        self.headers.append(("Content-Encoding", "gzip"))
        self.body = body


ANSWERS = {}  # kind -> async def (link, answer, arg): done with this answer


def kind(name):
    def keep(function):
        ANSWERS[name] = function
        return function
    return keep


async def whole(link, answer, _=None):
    await link.send(answer.head() + answer.body)


@kind("slow-first-byte")
async def slow_first_byte(link, answer, seconds):
    await asyncio.sleep(seconds)
    await whole(link, answer)


@kind("byte-a-second")
async def byte_a_second(link, answer, _):
    for byte in answer.head() + answer.body:
        await link.send(bytes([byte]))
        await asyncio.sleep(1)


@kind("never-answers")
async def never_answers(link, *_):
    await link.wait_for_end()


@kind("reset-after-header")
async def reset_after_header(link, answer, _):
    await link.send(answer.head())
    await link.reset()


@kind("reset-mid-page")
async def reset_mid_page(link, answer, _):
    await link.send(answer.head() + answer.body[:len(answer.body) // 2])
    await link.reset()


@kind("reset-after-last-byte")
async def reset_after_last_byte(link, answer, _):
    await whole(link, answer)
    await link.reset()


@kind("reset-before-last-chunk")
async def reset_before_last_chunk(link, answer, _):
    head = answer.head(Content_Length=None, Transfer_Encoding="chunked")
    await link.send(head + b"%x\r\n%b\r\n" % (len(answer.body), answer.body))
    await link.reset()


@kind("close-after-answer")
async def close_after_answer(link, answer, _):
    await whole(link, answer)
    raise Gone


@kind("connection-close")
async def connection_close(link, answer, _):
    await link.send(answer.head(Connection="close") + answer.body)
    raise Gone


@kind("length-too-long")
async def length_too_long(link, answer, _):
    await link.send(answer.head(Content_Length=len(answer.body) + 10)
                    + answer.body)
    raise Gone


@kind("length-too-short")
async def length_too_short(link, answer, _):
    await link.send(answer.head(Content_Length=len(answer.body) // 2)
                    + answer.body)


@kind("gzip-cut")
async def gzip_cut(link, answer, _):
    answer.be_gzip(gzip.compress(answer.text)[:-40])
    await whole(link, answer)


@kind("gzip-and-more")
async def gzip_and_more(link, answer, _):
    answer.be_gzip(gzip.compress(answer.text) + b"and more")
    await whole(link, answer)


@kind("redirect")
async def redirect(link, answer, _):
    port = link.socket.getsockname()[1]
    answer.status_line = "HTTP/1.1 307 Temporary Redirect"
    where = f"https://ec2.{OTHER_HOST}.localhost:{port}/"
    await link.send(answer.head(Location=where) + answer.body)


@kind("header-huge")
async def header_huge(link, answer, size):
    await link.send(answer.head(X_Filler="x" * size) + answer.body)


@kind("edit")
async def edit(link, answer, function):
    answer.text = function(answer.text)
    await whole(link, answer)


@kind("gzip-instead")
async def gzip_instead(link, answer, body):
    answer.be_gzip(body)
    await whole(link, answer)


@kind("stream-instead")
async def stream_instead(link, answer, parts):
    """(first, again): the first bytes, and then the others for ever."""
    answer.drop("Content-Encoding")
    await link.send(answer.head(Content_Length=None,
                                Transfer_Encoding="chunked"))
    first, again = parts
    while True:
        await link.send(b"%x\r\n%b\r\n" % (len(first), first))
        first = again


def gzip_of(*parts):
    """The gzip form of (bytes, times) one after another, in little memory."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join([packer.compress(data) for data, times in parts
                     for _ in range(times)] + [packer.flush()])


# In the handshake, before there is a request. cert-… are for Certificates.
DOOR = ("accept-close", "tls-hang", "slow-handshake", "cert-other-host",
        "cert-expired", "cert-self-signed", "cert-unknown-root")


class _Rule:
    def __init__(self, kind, *, arg, action, times, after):
        self.kind, self.arg, self.action = kind, arg, action
        self.times, self.after = times, after
        self._seen = collections.Counter()

    def applies(self, action):
        """Counts the request (or handshake) as one that it concerns."""
        if self.action not in (None, action):
            return False
        self._seen[action] += 1
        n = self._seen[action] - self.after
        return n > 0 and (self.times is None or n <= self.times)


# --- the relay ------------------------------------------------------------


class Relay:
    """The relay, until the end of the `with`. upstream: the simulator's port;
    regions: those that get a certificate at the start, not when first met."""

    def __init__(self, upstream, regions=()):
        self._upstream = upstream
        self._regions = list(regions)
        self._rules = {}
        self._links = set()
        self._tasks = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.connections = collections.Counter()  # region -> handshakes begun
        self.requests = collections.Counter()  # (region, action) -> requests

    def __enter__(self):
        self._thread.start()
        try:
            self._call(self._start(), 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self._call(self._end(), 60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work, patience_s=10):
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(patience_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise AssertionError("the relay is stuck") from None

    certificates = None
    _server = None

    async def _start(self):
        self.certificates = Certificates()
        for region in self._regions:
            self.certificates.context(region)
        self._front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._front.load_cert_chain(self.certificates.ca,
                                    self.certificates.key)
        self._front.sni_callback = self._on_name
        self.port = 0
        await self._listen()

    async def _end(self):
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.certificates:
            self.certificates.remove()

    async def _listen(self):
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def env(self):
        """The variables that lead a bootstrap here."""
        return {"AWS_ENDPOINT_URL_EC2":
                f"https://ec2.{{region}}.localhost:{self.port}",
                "AWS_CA_BUNDLE": str(self.certificates.ca)}

    # What the test asks for.

    def set_fault(self, region, kind, arg=None, *, action=None, times=None,
                  after=0):
        """Instead of what was set for the region. For one action, or all;
        from the request after the first `after` of an action on, so many
        `times` (None: always)."""
        assert kind in ANSWERS or kind in DOOR, kind
        if kind.startswith("cert-"):
            self._call(self._prepare(region, kind))
        self._rules[region] = _Rule(kind, arg=arg, action=action, times=times,
                                    after=after)

    async def _prepare(self, region, kind):
        self.certificates.context(region, kind)

    def clear(self):
        """No faults any more, and all counters at nought."""
        self._rules.clear()
        self.connections.clear()
        self.requests.clear()

    def drop_idle(self):
        """Closes every kept connection that waits for a request."""
        return self._call(self._for_idle(Link.close))

    def black_hole_idle(self):
        """From now on nothing that is sent on these arrives anywhere."""
        return self._call(self._for_idle(lambda link: swallow(link.socket)))

    async def _for_idle(self, function):
        idle = [link for link in self._links if link.idle]
        for link in idle:
            link.idle = False
            function(link)
        return len(idle)

    def refuse(self):
        """Nobody listens on the port; kept connections stay."""
        self._call(self._stop_listening())

    async def _stop_listening(self):
        self._server.close()

    def listen_again(self):
        """The end of refuse() and of swallow_dials()."""
        self._call(self._stop_listening())
        self._call(self._listen())

    def swallow_dials(self):
        """New connections are neither accepted nor refused."""
        self._call(self._swallow_dials())

    async def _swallow_dials(self):
        # Not the listener's own object: asyncio hands out a stand-in for it.
        with socket.socket(fileno=socket.dup(
                self._server.sockets[0].fileno())) as same:
            swallow(same)

    # What happens on the relay's thread.

    def _on_name(self, tls, name, _):
        link = self._by_tls(tls)
        match = re.fullmatch(r"ec2\.([a-z0-9-]+)\.localhost", name or "")
        if not match:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        link.region = match.group(1)
        self.connections[link.region] += 1
        rule = self._rules.get(link.region)
        if rule and rule.kind in DOOR and rule.applies(None):
            link.fault, link.fault_arg = rule.kind, rule.arg
        bad = (link.fault or "").startswith("cert-")
        tls.context = self.certificates.context(
            link.region, link.fault if bad else "good")
        return None

    def _by_tls(self, tls):
        return next(link for link in self._links if link._tls is tls)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        link = Link(reader, writer)
        self._tasks.add(task)
        self._links.add(link)
        upstream = _Upstream(self._upstream)
        try:
            await self._converse(link, upstream)
        except (Gone, asyncio.CancelledError):
            pass
        finally:
            upstream.close()
            link.close()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _converse(self, link, upstream):
        await link.handshake(self._front)
        if link.fault == "accept-close":
            return
        if link.fault == "tls-hang":
            await link.wait_for_end()
        while True:
            link.idle = True
            head, body = await read_message(link.read)
            link.idle = False
            action = re.search(rb"(?:^|&)Action=(\w+)", body)
            action = action.group(1).decode() if action else ""
            await self._answer(link, action, await upstream.ask(head, body))

    async def _answer(self, link, action, answer):
        self.requests[link.region, action] += 1
        rule = self._rules.get(link.region)
        if rule and rule.kind in ANSWERS and rule.applies(action):
            await ANSWERS[rule.kind](link, answer, rule.arg)
        else:
            await whole(link, answer)


class _Upstream:
    """One kept connection to the simulator."""

    def __init__(self, port):
        self._port = port
        self._writer = None

    def close(self):
        if self._writer:
            self._writer.close()

    async def ask(self, head, body):
        if not self._writer:
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._port)
        self._writer.write(head + b"\r\n\r\n" + body)
        await self._writer.drain()
        head, body = await read_message(lambda: self._reader.read(65536))
        answer = Answer(head, body)
        if answer.get("Connection") == "close":
            self.close()
            self._writer = None
        return answer


async def read_message(read):
    """Head (without its empty line) and body of a message with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await read()
        if not more:
            raise Gone
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    size = int(found.group(1)) if found else 0
    parts, have = [body], len(body)
    while have < size:
        parts.append(await read())
        if not parts[-1]:
            raise Gone
        have += len(parts[-1])
    return head, b"".join(parts)
