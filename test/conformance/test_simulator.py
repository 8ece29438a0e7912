"""ec2sim held against botocore: it accepts botocore's signatures, and what
botocore parses from its XML leads to the answers that it computes from its
fleet. The system tests rest on these."""

import check_with_boto3
import pytest

import harness
from judge import Judge

REGIONS = ["ap-east-1", "eu-west-1", "us-east-1"]
FLEET = ("--regions", ",".join(REGIONS), "--instances", 150)


@pytest.fixture(scope="module", autouse=True)
def names_below_localhost():
    check_with_boto3.resolve_localhost()


@pytest.mark.parametrize("options", [
    (),
    ("--page", 20, "--pretty", "--shuffle", "--token-first"),
    ("--page", 40, "--empty-pages", "--empty-token", "--no-gzip", "--plain"),
], ids=["as-it-is", "shuffled", "empty-pages"])
def test_ec2sim__means_to_botocore_what_it_says(options):
    with harness.Sim(*FLEET, *options) as sim:
        judge = Judge(sim.env)
        assert judge.regions() == REGIONS
        for question in ("count", "owner", "exposure"):
            found = judge.answer(question, REGIONS)
            assert found and found == sim.answers(question)


def test_ec2sim__refuses_botocores_signature_with_another_secret():
    with harness.Sim(*FLEET) as sim:
        judge = Judge(dict(sim.env, AWS_SECRET_ACCESS_KEY="another-secret"))
        with pytest.raises(Exception, match="AuthFailure"):
            judge.regions()
