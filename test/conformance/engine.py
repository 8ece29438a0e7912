"""A container engine for `sam local`: podman, with an image that stands in for
Lambda's, since AWS's own comes from a registry that not every machine reaches.

It holds what Lambda's image must have at least: this machine's glibc, and the
few commands that SAM runs in it. Podman keeps everything below a directory of
our own, and nothing is left running."""

import contextlib
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import time

import harness

ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())
IMAGE = f"public.ecr.aws/lambda/provided:al2023-{ARCHITECTURE}"
CONFIG = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
HELPERS = ("/usr/lib/podman/netavark", "/usr/libexec/podman/netavark")
COMMANDS = "cat chmod cp env mkdir mktemp mv rm sh sleep"


class Unavailable(Exception):
    """Why there is no engine here."""


def need(*commands):
    if os.geteuid() != 0:
        raise Unavailable("the engine is podman as root, and this is not root")
    missing = [c for c in commands if not shutil.which(c)]
    if missing:
        raise Unavailable("not installed: " + ", ".join(missing)
                          + " (scripts/setup.sh engine)")


def libraries(program):
    """The files of the shared libraries of a program, its loader among them;
    none of one that is static."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True,
                            check=False).stdout
    return [word for line in listed.splitlines() for word in line.split()
            if word.startswith("/")]


def make_root(root, program):
    """The image's files: glibc and a shell."""
    for name in ("bin", "etc", "opt", "proc", "dev", "sys", "tmp", "var/rapid",
                 "var/runtime", "var/task"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
    for name in COMMANDS.split():
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    for library in libraries(program) + libraries(root / "bin" / "busybox"):
        to = root / library.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, to)


class Engine:
    """with Engine(program) as engine: engine.host is where containers reach
    this machine, engine.env what leads SAM to it. program is what they will
    run; its libraries are in the image."""

    def __init__(self, program):
        need("podman", "runc", "busybox", "iptables")
        if not any(map(os.path.exists, HELPERS)):
            raise Unavailable("not installed: netavark")
        self._program = str(program)
        self._service = None

    def __enter__(self):
        self._dir = pathlib.Path(tempfile.mkdtemp(prefix="engine."))
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()

    def _podman(self, *arguments):
        done = subprocess.run(
            [*self._argv, *arguments], env=self._env, capture_output=True,
            text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise Unavailable(f"podman {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _start(self):
        config = self._dir / "containers.conf"
        config.write_text(CONFIG)
        self._env = dict(harness.base_environment(), CONTAINERS_CONF=str(config))
        self._argv = ["podman", "--root", str(self._dir / "root"), "--runroot",
                      str(self._dir / "run"), "--storage-driver", "vfs"]
        make_root(self._dir / "image", self._program)
        archive = shutil.make_archive(str(self._dir / "image"), "tar",
                                      self._dir / "image")
        self._podman("import", archive, IMAGE)
        # The bridge exists as long as a container does.
        self._podman("run", "--detach", IMAGE, "/bin/sleep", "3600")
        self.host = self._podman("network", "inspect", "podman", "--format",
                                 "{{(index .Subnets 0).Gateway}}")
        socket = self._dir / "podman.sock"
        self.env = {"DOCKER_HOST": f"unix://{socket}"}
        self._service = harness.start(
            [*self._argv, "system", "service", "--time=0", f"unix://{socket}"],
            env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while not socket.exists():
            if time.monotonic() > end or self._service.poll() is not None:
                raise Unavailable("podman's service does not start")
            time.sleep(0.05)

    def _end(self):
        if self._service:
            harness.stop(self._service)
        with contextlib.suppress(Unavailable):
            self._podman("rm", "--all", "--force", "--time", "0")
        shutil.rmtree(self._dir, ignore_errors=True)
