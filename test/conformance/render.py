"""A template of CloudFormation with its parameters filled in, as far as ours go:
what a deployment would send, without deploying.

    resources(path, Name="ec2sweep")         {logical id: {Type, Properties}}
"""

import re

import yaml

REGION, ACCOUNT = "eu-west-1", "123456789012"
PSEUDO = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT,
          "AWS::Partition": "aws"}
NO_VALUE = object()


class Loader(yaml.SafeLoader):
    """Short forms such as !Ref become their long ones."""


def _tag(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


Loader.add_multi_constructor("!", _tag)


def load(path):
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


class Template:
    """attributes: what !GetAtt gives, by "LogicalId.Name"."""

    def __init__(self, path, attributes=None, **parameters):
        self.body = load(path)
        declared = self.body.get("Parameters", {})
        assert set(parameters) <= set(declared), "no such parameter"
        self.values = PSEUDO | {
            name: parameters.get(name, about.get("Default"))
            for name, about in declared.items()}
        missing = [n for n, v in self.values.items() if v is None]
        assert not missing, f"no value for {missing}"
        for name, about in declared.items():
            if "AllowedPattern" in about:
                assert re.search(about["AllowedPattern"], self.values[name])
        self.attributes = attributes or {}

    def resources(self):
        return {name: self.render(resource)
                for name, resource in self.body["Resources"].items()
                if self.holds(resource.get("Condition"))}

    def failed_rules(self):
        """What the rules say of these parameters."""
        return [a["AssertDescription"]
                for rule in self.body.get("Rules", {}).values()
                if self.test(rule["RuleCondition"])
                for a in rule["Assertions"] if not self.test(a["Assert"])]

    def holds(self, condition):
        return condition is None or self.test(
            self.body["Conditions"][condition])

    def test(self, value):
        (name, operands), = value.items()
        if name == "Condition":
            return self.holds(operands)
        if name == "Fn::Not":
            return not self.test(operands[0])
        if name == "Fn::And":
            return all(map(self.test, operands))
        if name == "Fn::Or":
            return any(map(self.test, operands))
        assert name == "Fn::Equals", name
        one, other = map(self.render, operands)
        return one == other

    def render(self, value):
        if isinstance(value, list):
            items = map(self.render, value)
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, operand), = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self.call(name, operand)
        items = {name: self.render(item) for name, item in value.items()}
        return {n: i for n, i in items.items() if i is not NO_VALUE}

    def call(self, name, operand):
        if name == "Ref":
            if operand == "AWS::NoValue":
                return NO_VALUE
            return self.values[operand] if operand in self.values \
                else self.attributes[operand]
        if name == "Fn::GetAtt":
            return self.attributes[".".join(operand)]
        if name == "Fn::Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda found: str(self.call(
                *("Fn::GetAtt", found[1].split(".", 1)) if "." in found[1]
                else ("Ref", found[1]))), operand)
        if name == "Fn::If":
            condition, yes, no = operand
            return self.render(yes if self.holds(condition) else no)
        assert name == "Fn::Split", name
        separator, text = operand
        return self.render(text).split(separator)
