"""The answers that boto3 would give, for comparison with ours.

The computing is done by test/support/ec2sim/check_with_boto3.py, which shares
nothing with the program: boto3 signs, pages and parses.
"""

import contextlib
import os
import socket
import time

import check_with_boto3


@contextlib.contextmanager
def credentials_of(env):
    """The process's credentials, for a while, are those in env."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ.update({n: env[n] for n in names if n in env})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


class Judge:
    """One account as boto3 sees it, each region listed once. The page size
    is not ours, so that the pages end elsewhere."""

    def __init__(self, env, page_size=137):
        self._env = env
        self._account = check_with_boto3.Account(
            env["AWS_ENDPOINT_URL_EC2"], env.get("AWS_CA_BUNDLE"), page_size)

    def regions(self):
        with credentials_of(self._env):
            return self._account.regions(self._env["AWS_REGION"])

    def answer(self, question, regions):
        with credentials_of(self._env):
            for region in regions:
                if region not in self._account.instances:
                    self._account.load(region)
        return check_with_boto3.answer(self._account, question, regions)


def wait_for_port(port, process, patience_s=30):
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
