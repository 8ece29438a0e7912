"""The bill of materials held against the schema of CycloneDX."""

import subprocess
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import harness

SOURCES = """\
zlib\t1.3.2\tsource package 1:1.3.dfsg+really1.3.2-3\t{0}
c-ares\t1.34.9\tcrate c-ares-sys-13.0.0\t{0}
openssl\t3.5.8\thttps://example.com/openssl-3.5.8.tar.gz\t{0}
curl\t8.21.0\tfile /srv/curl-8.21.0.tar.gz\t{0}
""".format("0f" * 32)


def validator():
    return JsonStrictValidator(SchemaVersion.V1_6)


def test_bill_of_materials_is_valid(tmp_path):
    (tmp_path / "sources").write_text(SOURCES)
    done = subprocess.run(
        [sys.executable, "-B", harness.ROOT / "scripts/sbom.py",
         "--version", "1.0.0", "--arch", "x86_64",
         "--binary", harness.BOOTSTRAP, "--sources", tmp_path / "sources"],
        capture_output=True, text=True, timeout=harness.TIMEOUT_S, check=True)
    assert validator().validate_str(done.stdout) is None
    broken = done.stdout.replace('"library"', '"shelf"', 1)
    assert validator().validate_str(broken) is not None
