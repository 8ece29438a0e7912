"""One runner for all tests: C test programs (cmocka) and Python alike.

Each test/**/test_*.c becomes a collector. Its program, built beforehand below
$EC2SWEEP_BUILD/test/, is run once, and every cmocka test in it is an item with
a verdict and an output of its own. One more item a program, `clean_exit`, fails
on a leak, a sanitizer's report or a crash outside of a test.

  EC2SWEEP_BUILD      build tree to test (build/asan)
  EC2SWEEP_BOOTSTRAP  another bootstrap for the system tests
  EC2SWEEP_WRAPPER    command put before every program, such as valgrind
"""

import concurrent.futures
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test" / "support"))

import harness  # noqa: E402  (needs the path above)

PROGRAM_TIMEOUT_S = 180 if not harness.WRAPPER else 900
CLEAN_EXIT = "clean_exit"
DECLARED = re.compile(r"\bcmocka_unit_test\w*\s*\(\s*(test_\w+)")
RUN = re.compile(r"\[ RUN      \] (\w+)$")
VERDICT = re.compile(r"\[ *(OK|FAILED|SKIPPED|ERROR) *\] (\w+)$")
TOTAL = re.compile(r"\[=+\] .*\d+ test\(s\) run\.")


class Outcome:
    """What one run of a test program said."""

    def __init__(self, text, status):
        self.text = text
        self.status = status
        self.verdicts = {}  # name -> (OK | FAILED | SKIPPED | None, its output)
        self.unfinished = None
        self._read(text.splitlines())

    def _read(self, lines):
        name, own = None, []
        for line in lines:
            run, verdict = RUN.search(line), VERDICT.search(line)
            if run:
                name, own = run.group(1), []
                self.verdicts[name] = (None, own)
            elif name and verdict and verdict.group(2) == name:
                said = verdict.group(1)
                said = "FAILED" if said == "ERROR" else said
                self.verdicts[name] = (said, own)
                name, own = None, []
            elif TOTAL.search(line):
                return
            elif name:
                own.append(line)
        self.unfinished = name

    @property
    def clean(self):
        """True if the exit status is what the verdicts explain."""
        failed = sum(v[0] == "FAILED" for v in self.verdicts.values())
        return self.unfinished is None and self.status == failed

    @property
    def where_it_ended(self):
        """In words; with all that was printed unless a test shows it."""
        if self.unfinished:
            return f"in {self.unfinished}"
        return "\n" + self.text


def run_program(program):
    argv = harness.WRAPPER + [str(program)]
    env = harness.base_environment()
    env["CMOCKA_MESSAGE_OUTPUT"] = "stdout"
    try:
        done = subprocess.run(argv, cwd=ROOT, env=env, timeout=PROGRAM_TIMEOUT_S,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        text, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        text = (late.stdout or b"") + b"\ntime-out, killed\n"
        status = "time-out"
    except OSError as missing:
        text, status = f"{missing}\n".encode(), "not run"
    return Outcome(text.decode("utf-8", "replace"), status)


# Programs start before their first item asks, two at a time.
POOL = concurrent.futures.ThreadPoolExecutor(max_workers=2)


class UnitProgram(pytest.File):
    """One C test program; runs once, whichever of its items come first."""

    def collect(self):
        source = self.path.read_text(encoding="utf-8")
        names = dict.fromkeys(DECLARED.findall(source))
        for name in [*names, CLEAN_EXIT]:
            yield UnitTest.from_parent(self, name=name)
        self.names = set(names)
        self.running = None

    def start(self):
        if self.running is None:
            where = self.path.relative_to(ROOT / "test").with_suffix("")
            program = harness.BUILD / "test" / where
            self.running = POOL.submit(run_program, program)

    @property
    def outcome(self):
        self.start()
        return self.running.result()


class UnitFailure(Exception):
    """A cmocka test that failed; its text is the output of the test."""


class UnitTest(pytest.Item):
    def __init__(self, **kw):
        super().__init__(**kw)
        self.add_marker("unit")

    def runtest(self):
        outcome = self.parent.outcome
        if self.name == CLEAN_EXIT:
            self._check_exit(outcome)
            return
        verdict, output = outcome.verdicts.get(self.name, ("not run", []))
        if verdict == "SKIPPED":
            pytest.skip("\n".join(output) or "skipped by the test")
        if verdict == "OK":
            return
        if verdict == "not run":
            raise UnitFailure(f"not run: the program ended with status "
                              f"{outcome.status} {outcome.where_it_ended}")
        if verdict is None:
            raise UnitFailure(f"ended the program, status {outcome.status}\n"
                              + "\n".join(output))
        raise UnitFailure("\n".join(output) or "failed without a word")

    def _check_exit(self, outcome):
        strange = set(outcome.verdicts) - self.parent.names
        if strange:
            raise UnitFailure("run but not seen in the source (write its name "
                              "into a cmocka_unit_test macro): "
                              + ", ".join(sorted(strange)))
        if not outcome.clean:
            raise UnitFailure(f"exit status {outcome.status} "
                              f"{outcome.where_it_ended}")

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, UnitFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, None, self.name


def pytest_collect_file(file_path, parent):
    below = file_path.parent.relative_to(ROOT).parts
    if (file_path.suffix == ".c" and file_path.name.startswith("test_")
            and "support" not in below):
        return UnitProgram.from_parent(parent, path=file_path)
    return None


def pytest_collection_finish(session):
    if session.config.option.collectonly:
        return
    for item in session.items:
        if isinstance(item, UnitTest):
            item.parent.start()


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_any_output():
    """Nothing that a bootstrap printed in any test may hold a secret."""
    yield
    harness.check_no_secret_was_printed()


class Closing:
    """Counts, for the last line: N passed, N failed."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def pytest_collectreport(self, report):
        self.failed += report.failed

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.passed += report.passed
        self.failed += report.failed
        self.skipped += report.skipped

    def pytest_unconfigure(self, config):
        if config.option.collectonly:
            return
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{skipped}")


def pytest_configure(config):
    config.pluginmanager.register(Closing(), "ec2sweep-closing")


def pytest_sessionfinish(session):
    POOL.shutdown(wait=False, cancel_futures=True)
