"""What a build downloads goes through the proxy that it is told of. The proxy
here refuses everything, so that a download by any other way would succeed and
be seen."""

import http.server
import os
import shutil
import subprocess
import threading

import pytest

import harness

BUILD = harness.ROOT / "third_party" / "build.sh"
PINS = harness.ROOT / "third_party" / "pins.tsv"
LIBRARY = "zlib"  # it is got first


class Refuser(http.server.BaseHTTPRequestHandler):
    """Notes each host that it is asked for, and closes the door."""

    def do_GET(self):
        host = self.path.split("/")[2] if "//" in self.path else self.path
        self.server.asked.add((self.command, host.split(":")[0]))
        self.send_error(403)

    do_CONNECT = do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuser)
    server.asked = set()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever,
                              kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def hosts_of_tarballs():
    rows = [line.split("\t") for line in PINS.read_text().splitlines()]
    return {url.split("/")[2] for row in rows
            if row[:2] == [LIBRARY, "tarball"] for url in row[5].split()}


@pytest.mark.parametrize("small", [False, True], ids=["capitals", "small"])
def test_sources_are_got_through_the_proxy(proxy, small, tmp_path):
    kept = {n: os.environ[n] for n in ("PATH", "HOME") if n in os.environ}
    names = ("HTTP_PROXY", "HTTPS_PROXY")
    env = dict(kept, LANG="C.UTF-8", CARGO_NET_RETRY="0", **{
        name.lower() if small else name: proxy.url for name in names})
    done = subprocess.run([BUILD, tmp_path], env=env, timeout=120,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          check=False)
    assert done.returncode != 0, done.stdout.decode()
    assert f"getting {LIBRARY} failed" in done.stderr.decode()
    asked = {host for _, host in proxy.asked}
    assert asked >= hosts_of_tarballs() != set()
    # The mirror of this machine, whatever it is, is asked by plain HTTP.
    if shutil.which("apt-get"):
        assert [host for command, host in proxy.asked if command == "GET"]
