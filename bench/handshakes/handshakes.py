"""The CPU of INIT's handshakes beside that of a bare OpenSSL client.

    handshakes.py PROGRAM

PROGRAM is built from handshakes.c. Both open two connections to each of 34
simulated regions, in turns; medians of some rounds are compared. INIT's figure
is that of a whole INIT less that of one without network, and less that of the
same requests on connections that stand: signed, answered, inflated, parsed. For
that no two answers are alike: what is as it was would not be parsed again.
"""

import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "support"))

import harness  # noqa: E402  (needs the path above)

ROUNDS = 15
CONNECTIONS = 2
TICKS_TO_MS = 1e-6


def cpu_ms(pid):
    """CPU of a process with one thread, to the nanosecond."""
    text = pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
    return int(text.split()[0]) * TICKS_TO_MS


def of_start(sim):
    env = {**sim.env, "INIT_BUDGET_MS": "0"}
    with harness.Runtime(env=env) as runtime:
        runtime.wait_until_idle()
        return cpu_ms(runtime.process.pid)


def of_init(sim, regions):
    """Of INIT, and of a warm answer to the question with two listings."""
    env = {**sim.env, "INIT_BUDGET_MS": "9000", "SPECULATION_MAX_AGE_MS": "0",
           "REGIONS": ",".join(regions)}
    with harness.Runtime(env=env) as runtime:
        runtime.wait_until_idle()
        init = cpu_ms(runtime.process.pid)
        runtime.ask(harness.event("exposure"))
        runtime.wait_until_idle()
        before = cpu_ms(runtime.process.pid)
        runtime.ask(harness.event("exposure"))
        runtime.wait_until_idle()
        return init, cpu_ms(runtime.process.pid) - before


def of_bare_client(program, sim, regions):
    hosts = [f"ec2.{region}.localhost" for region in regions]
    done = subprocess.run(
        [program, str(sim.port), sim.ca, str(CONNECTIONS), *hosts],
        stdout=subprocess.PIPE, check=True, text=True)
    count, microseconds = map(int, done.stdout.split())
    assert count == CONNECTIONS * len(regions)
    return microseconds / 1000


def main(program):
    with harness.Sim("--instances", "5", "--groups", "5", "--warm",
                     "--restless") as sim:
        regions = [element["region"] for element in sim.answers("count")]
        rounds = [(of_bare_client(program, sim, regions), of_start(sim),
                   *of_init(sim, regions)) for _ in range(ROUNDS)]
    bare, start, init, warm = (statistics.median(column)
                               for column in zip(*rounds))
    print(f"CPU in ms, medians of {ROUNDS} rounds, "
          f"{CONNECTIONS * len(regions)} connections")
    print(f"  bare OpenSSL client, handshakes     {bare:6.1f}")
    print(f"  INIT, handshakes and requests       {init - start:6.1f}"
          f"   ratio {(init - start) / bare:.2f}")
    print(f"  INIT, handshakes alone              {init - start - warm:6.1f}"
          f"   ratio {(init - start - warm) / bare:.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
