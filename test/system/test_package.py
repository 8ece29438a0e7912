"""What is handed out: the zip, the list of what is in it, and its sources."""

import hashlib
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import zipfile

import pytest

import harness

DIGEST = "ab" * 32
# What fetch.sh may write of a source, and its package URL by the rules of
# https://github.com/package-url/purl-spec (types deb, cargo, generic).
ORIGINS = [
    ("zlib", "1.3.2", "source package 1:1.3.dfsg+really1.3.2-3",
     "pkg:deb/debian/zlib@1%3A1.3.dfsg%2Breally1.3.2-3?arch=source"),
    ("zlib", "2.3.3", "crate libz-ng-sys-1.1.32",
     "pkg:cargo/libz-ng-sys@1.1.32"),
    ("curl", "8.14.1", "source package 8.14.1-2ubuntu1, its patches not to be "
     "had", "pkg:deb/ubuntu/curl@8.14.1-2ubuntu1?arch=source"),
    ("c-ares", "1.34.9", "crate c-ares-sys-13.0.0",
     "pkg:cargo/c-ares-sys@13.0.0"),
    ("openssl", "3.5.5", "crate openssl-src-300.5.5+3.5.5",
     "pkg:cargo/openssl-src@300.5.5%2B3.5.5"),
    ("jansson", "2.15.1", "https://example.com/jansson-2.15.1.tar.gz",
     "pkg:generic/jansson@2.15.1"
     "?download_url=https%3A%2F%2Fexample.com%2Fjansson-2.15.1.tar.gz"),
    ("libxml2", "2.15.4", "file /srv/libxml2-2.15.4.tar.xz",
     "pkg:generic/libxml2@2.15.4"),
]


def sbom(tmp_path, rows):
    """scripts/sbom.py of a binary of four bytes and these sources."""
    (tmp_path / "bootstrap").write_bytes(b"\x7fELF")
    (tmp_path / "SOURCES.tsv").write_text(
        "".join("\t".join(row) + "\n" for row in rows))
    return subprocess.run(
        [sys.executable, "-B", harness.ROOT / "scripts/sbom.py",
         "--version", "1.2.3", "--arch", "arm64",
         "--binary", tmp_path / "bootstrap",
         "--sources", tmp_path / "SOURCES.tsv"],
        capture_output=True, text=True, timeout=harness.TIMEOUT_S, check=False)


def test_bill_of_materials_names_each_source(tmp_path):
    done = sbom(tmp_path, [(*row[:3], DIGEST) for row in ORIGINS])
    assert done.returncode == 0, done.stderr
    bill = json.loads(done.stdout)
    assert [(c["name"], c["version"], c["purl"]) for c in bill["components"]] \
        == [("zlib-ng" if "-ng-" in origin else name, version, purl)
            for name, version, origin, purl in ORIGINS]
    assert {c["externalReferences"][0]["hashes"][0]["content"]
            for c in bill["components"]} == {DIGEST}
    # Who links what in: the program everything.
    assert bill["dependencies"][0]["dependsOn"] == [row[3] for row in ORIGINS]
    assert bill["metadata"]["component"]["hashes"][0]["content"] \
        == hashlib.sha256(b"\x7fELF").hexdigest()


@pytest.mark.parametrize("row, complaint", [
    (("libressl", "4.0", "crate x-1.0", DIGEST), "licence of libressl"),
    (("zlib", "1.3.2", "a friend", DIGEST), "unknown origin of zlib"),
    (("zlib", "1.3.2", "crate libz-sys-1.1.31", "?"), "not a SHA-256"),
])
def test_bill_of_materials_refuses_what_it_does_not_know(tmp_path, row,
                                                         complaint):
    done = sbom(tmp_path, [row])
    assert done.returncode != 0 and complaint in done.stderr


def copy_of_the_tree(where):
    """The sources without what was built, as `sam build` copies them."""
    shutil.copytree(harness.ROOT, where, symlinks=True,
                    ignore=shutil.ignore_patterns("build", ".git", "*.pyc"))
    return where


@pytest.mark.large
def test_equal_sources_give_equal_packages(tmp_path):
    made = []
    for name in ("here", "some/where/else"):
        tree = copy_of_the_tree(tmp_path / name)
        done = subprocess.run(
            ["make", "-C", tree, "ARCH=" + os.uname().machine, "package"],
            capture_output=True, text=True, timeout=1800, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        zips = list((tree / "build/release").glob("ec2sweep-*.zip"))
        bills = list((tree / "build/release").glob("ec2sweep-*.cdx.json"))
        assert len(zips) == len(bills) == 1
        made.append((zips[0].read_bytes(), bills[0].read_bytes()))
        with zipfile.ZipFile(zips[0]) as package:
            entry, = package.infolist()
            assert entry.filename == "bootstrap"
            assert entry.external_attr >> 16 == 0o100755
            digest = hashlib.sha256(package.read(entry)).hexdigest()
        bill = json.loads(made[-1][1])
        assert bill["metadata"]["component"]["hashes"][0]["content"] == digest
        assert sorted(c["name"].removesuffix("-ng")
                      for c in bill["components"]) == [
            "c-ares", "curl", "jansson", "libxml2", "openssl", "zlib"]
        assert zips[0].stat().st_size <= 2_500_000
    assert made[0] == made[1]


class _Refuser(http.server.BaseHTTPRequestHandler):
    """A proxy that notes what it is asked for and lets nothing through."""

    def refuse(self):
        self.server.asked.append((self.command, self.path))
        self.send_error(403)

    do_CONNECT = do_GET = refuse

    def log_message(self, *_):
        pass


@pytest.mark.large
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_sources_are_fetched_through_the_proxy(tmp_path, variable):
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refuser)
    proxy.asked = []
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    where = f"http://127.0.0.1:{proxy.server_address[1]}"
    # Both schemes, so that nothing of this test can leave the machine.
    env = dict(harness.base_environment(), HOME=str(tmp_path))
    env[variable] = env[variable.replace("HTTPS", "HTTP")
                        .replace("https", "http")] = where
    try:
        done = subprocess.run(
            [harness.ROOT / "third_party/fetch.sh", "zlib", tmp_path / "work"],
            env=env, capture_output=True, text=True, timeout=300, check=False)
    finally:
        proxy.shutdown()
        proxy.server_close()
    assert done.returncode != 0
    assert "no source for zlib: " in done.stderr
    assert "EC2SWEEP_SOURCES" in done.stderr
    assert ("CONNECT", "github.com:443") in proxy.asked
    if pathlib.Path("/usr/bin/apt-get").exists():
        assert any("/dists/" in path or path.endswith(":443")
                   for _, path in proxy.asked if "github.com" not in path
                   and "zlib.net" not in path)


def compiler(tmp_path, arch, **tools):
    """What compiler.sh chooses where these commands are as told: a C compiler
    is told the minor version of its glibc, None is a command that fails."""
    for name in ("cc", "aarch64-linux-gnu-gcc", "x86_64-linux-gnu-gcc", "zig",
                 "python3"):
        tool = tmp_path / name
        minor = tools.get(name.split("-")[0])
        tool.write_text("#!/bin/sh\nexit 1\n" if minor is None else
                        f"#!/bin/sh\ncat >/dev/null\necho '#define __GLIBC_MINOR__ {minor}'\n")
        tool.chmod(0o755)
    if "zig" not in tools:
        (tmp_path / "zig").unlink()
    if "own_zig" in tools:
        (tmp_path / "cache/zig").mkdir(parents=True)
        shutil.copy(tmp_path / "cc", tmp_path / "cache/zig/zig")
    env = dict(harness.base_environment())
    env["EC2SWEEP_CACHE"] = str(tmp_path / "cache")
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    return subprocess.run([harness.ROOT / "third_party/compiler.sh", arch],
                          env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True,
                          timeout=harness.TIMEOUT_S, check=False)


HERE = os.uname().machine
OTHER = "aarch64" if HERE == "x86_64" else "x86_64"


@pytest.mark.parametrize("arch, tools, expected", [
    (HERE, {"cc": 36}, "cc"),
    (HERE, {"cc": 37, "zig": 0}, f"zig cc -target {HERE}-linux-gnu.2.34"),
    (HERE, {"cc": 37, "python3": 0},
     f"python3 -m ziglang cc -target {HERE}-linux-gnu.2.34"),
    (HERE, {"cc": 37, "own_zig": 0},
     f"CACHE/zig/zig cc -target {HERE}-linux-gnu.2.34"),
    (OTHER, {"cc": 36, OTHER: 36}, f"{OTHER}-linux-gnu-gcc"),
    (OTHER, {"cc": 36, OTHER: 38, "zig": 0},
     f"zig cc -target {OTHER}-linux-gnu.2.34"),
])
def test_compiler_with_an_old_enough_glibc_is_found(tmp_path, arch, tools,
                                                    expected):
    done = compiler(tmp_path, arch, **tools)
    expected = expected.replace("CACHE", str(tmp_path / "cache"))
    assert (done.returncode, done.stdout) == (0, expected + "\n"), done.stderr


def test_without_such_a_compiler_there_is_a_way_out(tmp_path):
    done = compiler(tmp_path, HERE, cc=41)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "glibc of 2.36" in done.stderr
    assert "pip install ziglang" in done.stderr


def test_a_compiler_that_tells_its_version_alone_is_taken(tmp_path):
    """zig 0.17 refuses -dumpmachine; here its archiver is what fails."""
    zig = tmp_path / "zig"
    zig.write_text("#!/bin/sh\n"
                   "case $* in *--version) [ $1 = cc ] && echo 1;; *) exit 1;; esac\n")
    zig.chmod(0o755)
    done = subprocess.run(
        [harness.ROOT / "third_party/build.sh", tmp_path / "cache"],
        env=dict(harness.base_environment(), CC=f"{zig} cc -target x"),
        capture_output=True, text=True, timeout=harness.TIMEOUT_S, check=False)
    assert done.returncode != 0
    assert done.stderr.endswith(f"third_party: {zig} does not run\n")


GOOD = ["-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-all", "-fPIE", "-pie",
        "-Wl,-z,relro,-z,now,-z,noexecstack"]


@pytest.mark.parametrize("bad, fault", [
    ([], None),
    (["-Wl,-z,execstack"], "has an executable stack"),
    (["-Wl,-z,norelro"], "has no RELRO segment"),
    (["-Wl,-z,lazy"], "binds lazily"),
    (["-no-pie", "-fno-PIE"], "is not position-independent"),
    (["-fno-stack-protector"], "has no stack protector"),
    (["-U_FORTIFY_SOURCE"], "has no checked functions"),
    (["-Wl,--no-as-needed", "-lz"], "needs libz.so.1 at run time"),
])
def test_a_binary_that_lambda_or_its_owner_must_not_run_is_refused(
        tmp_path, bad, fault):
    (tmp_path / "a.c").write_text(
        "#include <stdio.h>\nint main(int n, char **v) {\n"
        'char s[9]; snprintf(s, sizeof(s), "%d%s", n, v[0]); return puts(s); }\n')
    subprocess.run(["gcc", *GOOD, "a.c", "-o", "a", *bad], cwd=tmp_path,
                   check=True, timeout=harness.TIMEOUT_S)
    done = subprocess.run(
        [harness.ROOT / "scripts/check-release.sh", tmp_path / "a"],
        capture_output=True, text=True, timeout=harness.TIMEOUT_S, check=False)
    if fault is None:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode != 0
        assert done.stderr.startswith(
            f"check-release: {tmp_path / 'a'}: {fault}")
        assert done.stderr.count("\n") == 1


def test_setup_asks_dnf_by_the_names_of_fedora(tmp_path):
    """On a machine with dnf, without apt, a compiler or pkg-config."""
    for name in ("bash", "cat", "cut", "dirname", "env", "grep", "id",
                 "mktemp", "rm", "sed", "sort", "tail"):
        (tmp_path / name).symlink_to(shutil.which(name))
    for name in ("dnf", "sudo"):
        tool = tmp_path / name
        tool.write_text('#!/bin/bash\n[ "$1" = install ] || shift\n'
                        '[ "$1" = install ] || exec "$@"\n'
                        f'echo "$@" >>{tmp_path}/asked\n')
        tool.chmod(0o755)
    done = subprocess.run(
        [harness.ROOT / "scripts/setup.sh", "build"],
        env={"PATH": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=harness.TIMEOUT_S, check=False)
    packages = ("diffutils findutils gcc jansson-devel libcurl-devel "
                "libxml2-devel make openssl-devel pkgconf-pkg-config "
                "zlib-devel")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"setup: installing for build: {packages}\n"
    assert (tmp_path / "asked").read_text() == \
        f"install -q -y --allowerasing {packages}\n"
