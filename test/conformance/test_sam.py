"""`sam build` and `sam local` for real, as docs/gateway.md tells people to use
them. Where no container engine works, the latter is skipped with the reason."""

import io
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile

import boto3
import botocore.config
import pytest

import harness
from engine import ARCHITECTURE, Engine, Unavailable
from judge import free_port, wait_for_port

ROOT = harness.ROOT
SAM = ROOT / "build" / "sam-venv" / "bin" / "sam"
REGIONS = "eu-west-1,us-east-1,us-west-2"
FUNCTION = "Ec2SweepFunction"
INVOKE = "/2015-03-31/functions/%s/invocations"
# What SAM is told must be the same each time.
ON_THIS_MACHINE = ["--parameter-overrides", f"Architecture={ARCHITECTURE}"]


def environment(home, **more):
    """Neither settings nor proxies of this machine, but its compiler and the
    libraries that it has built."""
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    kept = {name: os.environ[name] for name in (
        "PATH", "CC", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy",
        "NO_PROXY", "no_proxy") if name in os.environ}
    return harness.environment(
        HOME=str(home), SAM_CLI_TELEMETRY="0",
        SAM_CLI_CONTAINER_CONNECTION_TIMEOUT=str(harness.TIMEOUT_S),
        EC2SWEEP_CACHE=os.environ.get("EC2SWEEP_CACHE", cache + "/ec2sweep"),
        **{**kept, **more})


def run(*arguments, env, cwd=ROOT, status=0):
    done = subprocess.run(list(map(str, arguments)), env=env, cwd=cwd,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    harness.record(done.stdout.encode() + done.stderr.encode())
    assert done.returncode == status, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """What a clone has."""
    to = tmp_path_factory.mktemp("clone") / "ec2sweep"
    shutil.copytree(ROOT, to, symlinks=True, ignore=shutil.ignore_patterns(
        ".git", ".aws-sam", "build", "__pycache__"))
    return to


def build(to, copy, *options):
    run(SAM, "build", *options, "-b", to, *ON_THIS_MACHINE, cwd=copy,
        env=environment(to.parent))


@pytest.fixture(scope="module")
def built(copy, tmp_path_factory):
    """The stack as docs/gateway.md has it built."""
    to = tmp_path_factory.mktemp("built")
    build(to, copy, "--build-in-source", "-t", "stack.yaml")
    return to


def bootstrap_of(built):
    return built / "Function" / FUNCTION / "bootstrap"


def test_build__yields_a_bootstrap_that_runs(built):
    inside = [p.name for p in bootstrap_of(built).parent.iterdir()]
    assert inside == ["bootstrap"]
    said = run(bootstrap_of(built), "--version", env={}).stdout
    assert said == harness.run("--version").stdout


def test_build__yields_all_templates(built):
    made = {str(p.relative_to(built)) for p in built.rglob("*.yaml")}
    assert made == {"template.yaml"} | {
        f"{part}/template.yaml"
        for part in ("Function", "Gateway", "Harness", "Agent")}


def test_build__yields_the_same_in_a_copy_of_the_source(built, copy, tmp_path):
    build(tmp_path, copy)
    assert (tmp_path / FUNCTION / "bootstrap").read_bytes() == \
        bootstrap_of(built).read_bytes()


def test_build__that_fails_names_the_container(copy, tmp_path):
    done = run("make", "build-" + FUNCTION, f"ARTIFACTS_DIR={tmp_path}",
               "CC=no-such-compiler", f"ARCH={ARCHITECTURE}", cwd=copy,
               env=environment(tmp_path), status=2)
    assert "no-such-compiler" in done.stderr
    line, = [line for line in done.stderr.splitlines()
             if line.startswith("not built")]
    assert "docker build --target zips" in line


# --- without a compiler -----------------------------------------------------

BUCKET = "artifacts"


@pytest.fixture
def store():
    """A bucket of S3, as moto has it."""
    port = free_port()
    process = harness.start(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p",
         str(port)], env=harness.base_environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        client = boto3.session.Session().client(
            "s3", region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{port}", aws_access_key_id="x",
            aws_secret_access_key="x",
            config=botocore.config.Config(proxies={}))
        client.create_bucket(Bucket=BUCKET)
        yield client
    finally:
        harness.stop(process)


def test_dist__is_packaged_without_a_compiler(built, copy, store, tmp_path):
    run("make", "dist", f"ARCH={ARCHITECTURE}", cwd=copy,
        env=environment(tmp_path))
    dist = copy / "dist" / ARCHITECTURE
    nowhere = environment(tmp_path, PATH="/nonexistent", HTTPS_PROXY=None,
                          AWS_DEFAULT_REGION="us-east-1",
                          AWS_ENDPOINT_URL=store.meta.endpoint_url)
    run(SAM, "package", "-t", "stack.yaml", "--s3-bucket", BUCKET,
        "--output-template-file", tmp_path / "packaged.yaml", cwd=dist,
        env=nowhere)
    stored = {o["Key"]: store.get_object(Bucket=BUCKET, Key=o["Key"])["Body"]
              .read() for o in store.list_objects_v2(Bucket=BUCKET)["Contents"]}
    zipped, = [body for body in stored.values() if body[:2] == b"PK"]
    assert zipped == (dist / f"ec2sweep-{ARCHITECTURE}.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.read("bootstrap") == bootstrap_of(built).read_bytes()
    function, = [body.decode() for name, body in stored.items()
                 if b"AWS::Serverless::Function" in body]
    assert f"AllowedValues:\n    - {ARCHITECTURE}\n" in function
    assert len(stored) == 5  # the zip and the four templates of the parts


# --- sam local --------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(built):
    try:
        with Engine(bootstrap_of(built)) as made:
            yield made
    except Unavailable as why:
        pytest.skip(f"sam local: {why}")


@pytest.fixture(scope="module")
def sim(engine):
    with harness.Sim("--plain", "--listen", engine.host, "--regions", REGIONS,
                     "--instances", 20) as made:
        yield made


@pytest.fixture(scope="module")
def settings(sim, engine, tmp_path_factory):
    """The file for --env-vars that leads the function to the simulator."""
    path = tmp_path_factory.mktemp("settings") / "vars.json"
    path.write_text(json.dumps({"Parameters": {
        "AWS_ENDPOINT_URL_EC2": f"http://{engine.host}:{sim.port}",
        "DEFAULT_STATES": ""}}))
    return path


def local(command, built, settings, *arguments):
    return [str(SAM), "local", command, *map(str, arguments), "-t",
            str(built / "Function" / "template.yaml"), "--skip-pull-image",
            "--env-vars", str(settings), *ON_THIS_MACHINE]


def test_local_invoke__answers(engine, built, sim, settings):
    done = run(*local("invoke", built, settings, FUNCTION, "-e",
                      ROOT / "events" / "count.json"),
               env=environment(settings.parent, **engine.env))
    reply = harness.Reply(json.loads(done.stdout))
    assert reply.status == 200
    assert reply.body == sim.answers("count")


@pytest.fixture(scope="module")
def function(engine, built, settings):
    """`sam local start-lambda`: its port. One container answers all."""
    port = free_port()
    process = harness.start(
        local("start-lambda", built, settings, "--port", port,
              "--warm-containers", "EAGER"),
        env=environment(settings.parent, **engine.env), cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    output = harness.Output(process)
    try:
        wait_for_port(port, process, 60)
        yield port
    finally:
        harness.stop(process)
        output.end()


def invoke(port, data):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}" + INVOKE % FUNCTION, data=data)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=harness.TIMEOUT_S) as answer:
        return json.loads(answer.read())


EVENTS = ROOT / "events"
# It takes no client context, without which a gateway's event is none.
WHOLE = [path for path in sorted(EVENTS.glob("**/*.json"))
         if path.parent.name != "gateway"]


@pytest.mark.parametrize("path", WHOLE, ids=lambda p: str(p.relative_to(EVENTS)))
def test_local_lambda__answers_each_event(function, path):
    """test_events.py sees to it that the answers are right."""
    said = json.dumps(invoke(function, path.read_bytes()))
    assert "errorType" not in said
    if path.name == "unknown-path.json":
        assert '"httpStatusCode": 404' in said
    else:
        assert "eu-west-1" in said or "byState" in said
