"""What each choice of the release build is worth: builds variants of it, each
with one choice made otherwise, and measures them side by side.

    bench/variants/variants.py [NAME...]      (`make bench-variants`)

A variant is a copy of the tree in build/variants/ with a few words replaced;
libraries that it changes are built once and kept like any (some take minutes).
The columns: bytes of the binary and of its zip; ms from exec until main has
ended (`--version`); ms from exec to the first GET next with INIT_BUDGET_MS=0;
resident kB then; peak kB and CPU ms of counting 34 regions of 1,000 instances.
Times are medians of alternating runs, so that a busy machine hits all alike,
and go before other work where that is allowed.
"""

import argparse
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "support"))

import harness  # noqa: E402  (needs the path above)

WHERE = ROOT / "build" / "variants"
START_RUNS, COUNT_RUNS = 41, 3

BUILD, RELEASE = "third_party/build.sh", "third_party/release.mk"
READER = "src/aws/ec2_xml.c"
TRIMMED = 'for word in $off; do\n        options+=("no-$word")'

# name -> what it is, and (file, text, instead)...; None: not built from here.
VARIANTS = {
    "release": ("as it is", ()),
    "dynamic": ("the distribution's shared libraries", None),
    "static-glibc": ("glibc linked in as well", (
        (RELEASE, "-pie -static-libgcc", "-static-pie -static-libgcc"),
        (RELEASE, "\t$(Q)scripts/check-release.sh $@.new\n", ""))),
    "lto": ("link-time optimisation of all but OpenSSL", (
        (BUILD, 'local name=$1 extra=$2\n',
         'local name=$1 extra="$2 -flto=1 -fno-fat-lto-objects"\n'),
        (BUILD, 'ar="ar"', 'ar="gcc-ar"'),
        (RELEASE, "-O2 -g0", "-O2 -g0 -flto=1"),
        (RELEASE, "-pie -static-libgcc", "-O2 -flto=1 -pie -static-libgcc"))),
    "os": ("-Os for all but OpenSSL", (
        (BUILD, 'local name=$1 extra=$2\n', 'local name=$1 extra="$2 -Os"\n'),
        (RELEASE, "-O2 -g0", "-Os -g0"))),
    "o3": ("-O3 for all but OpenSSL", (
        (BUILD, 'local name=$1 extra=$2\n', 'local name=$1 extra="$2 -O3"\n'),
        (RELEASE, "-O2 -g0", "-O3 -g0"))),
    "xml-o2": ("libxml2 with -O2", (
        (BUILD, "cmake_library libxml2 -O3", "cmake_library libxml2 ''"),)),
    "feed-1k": ("libxml2 fed 1 kB at a time", (
        (READER, "FEED_MAX ((size_t)4096)", "FEED_MAX ((size_t)1024)"),)),
    "no-sections": ("without --gc-sections", (
        (RELEASE, "--gc-sections,", ""),)),
    "all-of-openssl": ("OpenSSL as it comes, static", (
        (BUILD, TRIMMED, TRIMMED.replace("$off", "shared tests docs apps")),)),
}
# Allocators, put before the release binary at run time.
PRELOADS = {
    "jemalloc": "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
    "mimalloc": "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2",
    "tcmalloc": "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
}


def resident_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0])


class Variant:
    def __init__(self, name, bootstrap, preload=None):
        self.name, self.bootstrap = name, bootstrap
        self.env = {"LD_PRELOAD": preload} if preload else {}
        self.main_ms, self.next_ms, self.next_kb = [], [], []
        self.peak_kb, self.cpu_ms = [], []

    def zip_bytes(self):
        out = WHERE / f"{self.name}.zip"
        subprocess.run([ROOT / "scripts/package.sh", self.bootstrap, out],
                       check=True)
        return out.stat().st_size

    def run_main(self):
        begin = time.perf_counter()
        subprocess.run([self.bootstrap, "--version"], check=True,
                       stdout=subprocess.DEVNULL,
                       env=harness.environment(**self.env))
        self.main_ms.append(1000 * (time.perf_counter() - begin))

    def run_to_next(self):
        """A Runtime API that hears the first request and no more."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            env = harness.environment(
                INIT_BUDGET_MS="0", SPECULATION_MAX_AGE_MS="0",
                REGIONS="us-east-1", **self.env,
                AWS_LAMBDA_RUNTIME_API="127.0.0.1:%d" % server.getsockname()[1])
            begin = time.perf_counter()
            process = subprocess.Popen([self.bootstrap], env=env,
                                       stderr=subprocess.DEVNULL)
            try:
                with server.accept()[0] as link:
                    asked = link.recv(4096)
                    self.next_ms.append(1000 * (time.perf_counter() - begin))
                    assert b"/next " in asked, asked
                    self.next_kb.append(resident_kb(process.pid))
            finally:
                process.kill()
                process.wait()

    def run_count(self, sim):
        env = dict(sim.env, SPECULATION_MAX_AGE_MS="0", **self.env)
        with harness.Runtime(env=env, program=[self.bootstrap]) as runtime:
            runtime.ask(harness.event("count"), deadline_ms=300_000,
                        timeout=300)
            self.peak_kb.append(runtime.peak_rss_kb)
            stat = pathlib.Path(f"/proc/{runtime.process.pid}/stat").read_text()
        user, kernel = stat.rpartition(")")[2].split()[11:13]
        ticks = os.sysconf("SC_CLK_TCK")
        self.cpu_ms.append(1000 * (int(user) + int(kernel)) / ticks)

    def row(self):
        middle = statistics.median
        return (f"| {self.name} | {self.bootstrap.stat().st_size:,} "
                f"| {self.zip_bytes():,} | {middle(self.main_ms):.1f} "
                f"| {middle(self.next_ms):.1f} | {middle(self.next_kb):,.0f} "
                f"| {middle(self.peak_kb):,.0f} | {middle(self.cpu_ms):,.0f} |")


def make(name, changes):
    """The variant's binary."""
    tree = WHERE / name
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT, tree, symlinks=True,
                    ignore=shutil.ignore_patterns("build", ".git"))
    for path, text, instead in changes:
        file = tree / path
        before = file.read_text()
        if text not in before:
            sys.exit(f"variants.py: {name}: {path} has no {text!r}")
        file.write_text(before.replace(text, instead))
    subprocess.run(["make", "-C", tree, "-s", "-j2", "release"], check=True,
                   stdout=sys.stderr)
    return tree / "build/release/bootstrap"


def variants(names):
    for name in names:
        if name in PRELOADS:
            yield Variant(name, make_once("release"), PRELOADS[name])
        elif name == "dynamic":
            subprocess.run(["make", "-C", ROOT, "-s", "build/dev/bootstrap"],
                           check=True, stdout=sys.stderr)
            bare = WHERE / "dynamic"
            WHERE.mkdir(parents=True, exist_ok=True)
            subprocess.run(["strip", "-o", bare, ROOT / "build/dev/bootstrap"],
                           check=True)
            yield Variant(name, bare)
        else:
            yield Variant(name, make_once(name))


_made = {}


def make_once(name):
    if name not in _made:
        _made[name] = make(name, VARIANTS[name][1])
    return _made[name]


def main():
    everything = [*VARIANTS, *(name for name, path in PRELOADS.items()
                               if pathlib.Path(path).exists())]
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("names", nargs="*", metavar="NAME",
                         help=", ".join(everything))
    asked = options.parse_args().names or everything
    if unknown := set(asked) - set(everything):
        options.error(f"no such variant: {', '.join(sorted(unknown))}")
    made = list(variants(asked))
    try:
        os.nice(-10)
    except PermissionError:
        pass
    for _ in range(START_RUNS):
        for variant in made:
            variant.run_main()
            variant.run_to_next()
    with harness.Sim("--instances", "1000", "--warm") as sim:
        for _ in range(COUNT_RUNS):
            for variant in made:
                variant.run_count(sim)
    print("| variant | binary | zip | main ms | next ms | kB at next "
          "| peak kB | CPU ms |")
    print("|---|---|---|---|---|---|---|---|")
    for variant in made:
        print(variant.row())


if __name__ == "__main__":
    main()
