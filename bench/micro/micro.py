"""Runs `micro` step by step on a page of the simulator and prints a table.

    bench/micro/micro.py PROGRAM [--instructions] [--instances N]

Times are the best of several runs, of the process's own CPU. --instructions
has valgrind count instead, which a busy machine does not disturb, and counts
the release binary as a whole too, TLS and HTTP included. The last lines
compare: what counting takes to what zlib and libxml2 alone take.
"""

import argparse
import json
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "support"))

import harness  # noqa: E402  (needs the path above)

PAGE_STEPS, OTHER_STEPS = ("inflate", "sax", "count"), ("sign", "json")
UNITS = {"inflate": "XML", "sax": "XML", "count": "XML", "json": "JSON"}
RUNS = 5
MIN_S = 0.3


def fetch_page(instances, path):
    """One answer of DescribeInstances, as it comes: gzipped."""
    region = "us-east-1"
    with harness.Sim("--instances", str(instances), "--plain") as sim:
        where = f"ec2.{region}.localhost"
        subprocess.run(
            ["curl", "-sSf", "--noproxy", "*", "-o", path,
             "--aws-sigv4", f"aws:amz:{region}:ec2",
             "--user", f"{harness.KEY_ID}:{harness.SECRET}",
             "-H", "Accept-Encoding: gzip",
             "-H", "Content-Type: application/x-www-form-urlencoded",
             "-d", "Action=DescribeInstances&MaxResults=1000"
                   "&Version=2016-11-15",
             f"http://{where}:{sim.port}/"], check=True)
    if pathlib.Path(path).read_bytes()[:2] != b"\x1f\x8b":
        sys.exit("micro.py: the simulator's page is not gzipped")


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Micro:
    def __init__(self, program, page):
        self.program, self.page = program, page

    def argv(self, step, rounds):
        page = [self.page] if step in PAGE_STEPS else []
        return [str(word) for word in (self.program, step, rounds, *page)]

    def run(self, step, rounds):
        """CPU seconds, and units handled."""
        before = cpu_s()
        done = subprocess.run(self.argv(step, rounds), check=True, text=True,
                              capture_output=True)
        return cpu_s() - before, int(done.stdout.split()[2])

    def time(self, step):
        """CPU seconds of one round, and its units."""
        rounds = 1
        while (took := self.run(step, rounds))[0] < MIN_S:
            rounds *= 2
        best = min(took[0], *(self.run(step, rounds)[0] for _ in range(RUNS)))
        return best / rounds, took[1] // rounds

    def count(self, step):
        """Instructions of one round, and its units."""
        def counted(rounds):
            total, out = instructions(self.argv(step, rounds))
            return total, int(out.split()[2])
        # The difference leaves out the start of the process.
        (one, units), (two, _) = counted(1), counted(2)
        return two - one, units


def instructions(argv, **options):
    """Those of a whole run, and what it wrote."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         *map(str, argv)], check=True, text=True, capture_output=True,
        **options)
    (total,) = re.findall(r"Collected : (\d+)", done.stderr)
    return int(total), done.stdout


def whole_program(bootstrap, instances):
    """Instructions per instance that the program needs for one region, over
    TLS: those for twice as many instances less those for as many."""
    def counted(size):
        with harness.Sim("--regions", "us-east-1", "--instances", str(size),
                         "--warm") as sim:
            env = dict(sim.env, SPECULATION_MAX_AGE_MS="0",
                       REGIONS="us-east-1", REGION_TIMEOUT_MS="600000")
            total, out = instructions([bootstrap, "--event", "-"], env=env,
                                      input=json.dumps(harness.event("count")))
            (found,) = harness.Reply(json.loads(out)).body
            assert found["totalInstances"] == size, found
            return total
    return (counted(2 * instances) - counted(instances)) / instances


def show(step, cost, units, counted):
    if counted:
        print(f"{step:8} {cost / units:12.1f} instructions per "
              f"{'byte of ' + UNITS[step] if step in UNITS else 'signature'}")
    elif step in UNITS:
        print(f"{step:8} {units / cost / 1e6:12.0f} MB of {UNITS[step]} per s")
    else:
        print(f"{step:8} {units / cost:12.0f} signatures per s")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program", type=pathlib.Path)
    options.add_argument("--instructions", action="store_true")
    options.add_argument("--instances", type=int, default=1000)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "page.gz"
        fetch_page(asked.instances, page)
        micro = Micro(asked.program, page)
        measure = micro.count if asked.instructions else micro.time
        cost = {}
        for step in (*PAGE_STEPS, *OTHER_STEPS):
            cost[step], units = measure(step)
            show(step, cost[step], units, asked.instructions)
        wire = page.stat().st_size
    if asked.instructions:
        each = whole_program(asked.program.with_name("bootstrap"),
                             asked.instances)
        print(f"the whole program: {each:.0f} instructions per instance")
    what, scale = ("instructions", 1) if asked.instructions else ("us", 1e6)
    print(f"a page of {asked.instances} instances, {wire} bytes gzipped: "
          f"{cost['count'] * scale / asked.instances:.{0 if scale == 1 else 1}f}"
          f" {what} per instance")
    print(f"count : sax = {cost['count'] / cost['sax']:.2f}   "
          "(counting to zlib and libxml2 alone)")


if __name__ == "__main__":
    main()
