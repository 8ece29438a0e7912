"""Credentials from the container endpoint."""

import datetime
import http.server
import json
import threading

import pytest

import harness
from harness import event, run_event


class Container(http.server.BaseHTTPRequestHandler):
    """Gives the test credentials to who brings the token "let-me-in"."""

    def do_GET(self):
        allowed = (self.path == "/creds"
                   and self.headers.get("Authorization") == "let-me-in")
        later = datetime.datetime.now(datetime.timezone.utc) + \
            datetime.timedelta(hours=1)
        data = json.dumps({
            "AccessKeyId": harness.KEY_ID, "SecretAccessKey": harness.SECRET,
            "Token": harness.TOKEN,
            "Expiration": later.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }).encode() if allowed else b"{}"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def container_url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Container)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever,
                              kwargs={"poll_interval": 0.02})
    thread.start()
    yield "http://127.0.0.1:%d/creds" % server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def container_env(sim, url, token):
    env = dict(sim.env, AWS_CONTAINER_CREDENTIALS_FULL_URI=url,
               AWS_CONTAINER_AUTHORIZATION_TOKEN=token)
    del env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
    return env


def test_container_credentials_are_used(sim_with, container_url):
    sim = sim_with("--token", harness.TOKEN)
    reply = run_event(event(), env=container_env(sim, container_url, "let-me-in"))
    assert reply.body == sim.answers("count")


def test_refused_container_credentials_are_said_to_be_missing(
        sim_with, container_url):
    sim = sim_with("--token", harness.TOKEN)
    done = harness.run("--event", "-", stdin=json.dumps(event()).encode(),
                       env=container_env(sim, container_url, "wrong"))
    assert done.returncode != 0 and done.stderr.strip()


@pytest.mark.parametrize("proxy", ["http://user:secretpw@127.0.0.1:99999",
                                   "ftp://user:secretpw@127.0.0.1:1",
                                   "http://user:secretpw@127.0.0.1:1"])
def test_password_of_a_proxy_is_not_printed(sim, proxy):
    env = dict(sim.env, HTTPS_PROXY=proxy, AWS_MAX_ATTEMPTS="1")
    done = harness.run("--event", "-", env=env,
                       stdin=json.dumps(event("count", "us-east-1")).encode())
    assert done.returncode == 0
    assert "us-east-1" in done.stdout
    assert "secretpw" not in done.stdout + done.stderr
