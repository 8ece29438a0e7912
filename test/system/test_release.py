"""The release binary where it will live: beside glibc alone, on one thread.

Run by `make test-release`, which builds build/release/bootstrap first.
"""

import json
import shutil
import subprocess

import pytest

import harness
from harness import event

pytestmark = pytest.mark.large

RELEASE = harness.ROOT / "build/release/bootstrap"
CHROOT = harness.ROOT / "test/system/chroot-run.sh"
QUESTIONS = ["count", "owner", "exposure"]
# Each of these system calls starts a thread or a process.
FORKING = "clone,clone3,fork,vfork"


@pytest.fixture
def root(tmp_path):
    """An empty root, with a resolver that nobody answers."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    return tmp_path


def test_release_binary_needs_glibc_alone():
    subprocess.run([harness.ROOT / "scripts/check-release.sh", RELEASE],
                   check=True)


def test_empty_root_answers_under_the_runtime_api(sim, root):
    shutil.copy(sim.ca, root / "ca.pem")
    env = dict(sim.env, AWS_CA_BUNDLE="/ca.pem")
    with harness.Runtime(env=env, program=[CHROOT, root, RELEASE]) as runtime:
        for question in QUESTIONS:
            assert runtime.ask(event(question)).body == sim.answers(question)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
def test_one_thread_resolves_and_asks(sim, root):
    trace = root / "trace"
    shutil.copy(sim.ca, root / "ca.pem")
    (root / "event.json").write_text(
        json.dumps(event("count", "us-east-1,eu-west-1")))
    for endpoint in (sim.env["AWS_ENDPOINT_URL_EC2"],
                     "https://ec2.{region}.example:1"):
        env = dict(sim.env, AWS_CA_BUNDLE="/ca.pem",
                   AWS_ENDPOINT_URL_EC2=endpoint, AWS_MAX_ATTEMPTS="1")
        done = subprocess.run(
            ["strace", "-f", "-qq", "-e", f"trace=execve,{FORKING},sendto,"
             "sendmmsg,connect", "-o", trace, CHROOT, root, RELEASE,
             "--event", "/event.json"],
            env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
            check=True)
        harness.record(done.stdout + done.stderr)
        lines = trace.read_text().splitlines()
        # Only what comes after the start of the binary is the binary's.
        begin = max(i for i, line in enumerate(lines) if "execve(" in line)
        mine = lines[begin + 1:]
        assert not [line for line in mine if any(
            f"{call}(" in line for call in FORKING.split(","))]
        resolver = [line for line in mine if "htons(53)" in line]
        assert bool(resolver) == ("example" in endpoint)
