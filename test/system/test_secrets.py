"""Secrets and files: what a process that has answered still holds, and what it
opens. For a program without sanitizers: `make test-release`.
"""

import json
import pathlib
import re
import shutil
import subprocess

import pytest

import harness
from harness import event

pytestmark = pytest.mark.large

QUESTIONS = ["count", "owner", "exposure"]
OPENS = "open,openat,openat2,creat"
CHANGES = ("mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,"
           "symlinkat,unlink,unlinkat,truncate,ftruncate,memfd_create")


def memory_of(pid):
    """(name, bytes) of each part of a process that it may write to."""
    proc = pathlib.Path(f"/proc/{pid}")
    with open(proc / "mem", "rb", buffering=0) as memory:
        for line in (proc / "maps").read_text().splitlines():
            where, rights, _, _, _, *name = line.split()
            begin, end = (int(part, 16) for part in where.split("-"))
            if rights.startswith("rw"):
                memory.seek(begin)
                yield " ".join(name), memory.read(end - begin)


def test_secret_is_held_once_and_no_copy_is_left(sim):
    secret = harness.SECRET.encode()
    with harness.Runtime(env=sim.env) as runtime:
        for question in QUESTIONS:
            assert runtime.ask(event(question)).body == sim.answers(question)
        runtime.wait_until_idle()
        try:
            parts = list(memory_of(runtime.process.pid))
        except PermissionError as denied:
            pytest.skip(f"the memory of a process cannot be read: {denied}")
    # The environment is at the end of the stack; there it must be.
    stack = b"".join(data for name, data in parts if name == "[stack]")
    rest = b"".join(data for name, data in parts if name != "[stack]")
    assert stack.count(secret) == 1
    # The credentials in use, and not what a key was derived from.
    assert rest.count(secret) == 1
    assert b"AWS4" + secret not in stack + rest


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_file_is_written(sim, tmp_path, question):
    trace, asked = tmp_path / "trace", tmp_path / "event.json"
    asked.write_text(json.dumps(event(question)))
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", f"trace={OPENS},{CHANGES}", "-o", trace,
         harness.BOOTSTRAP, "--event", asked], env=dict(sim.env, DEBUG="1"),
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    harness.record(done.stdout + done.stderr)
    calls = trace.read_text().splitlines()
    # It reads its event, at least, and so would have been seen to write.
    assert any(str(asked) in call for call in calls)
    changing = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_APPEND|\b("
                          + CHANGES.replace(",", "|") + r"|creat)\(")
    assert not [call for call in calls if changing.search(call)]
