#!/usr/bin/env python3
"""Makes the other two descriptions of the questions from schema/openapi.yaml.

    scripts/schemas.py           writes what is out of date
    scripts/schemas.py --check   names it instead, and ends with 1

schema/functions.json   the function schema of an action group (Bedrock Agents)
schema/tools.json       the tool schema of a Lambda target (AgentCore Gateway)
deploy/agent.yaml       holds the OpenAPI document and its hash
deploy/gateway.yaml     holds the tool schema, as CloudFormation spells it

What a template holds stands between the lines "# made: NAME" and "# end".
Needs PyYAML, as `make conformance` has it: `make schemas` runs this with it.
"""

import hashlib
import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "schema" / "openapi.yaml"


def parameters_of(operation):
    """Name, description and whether it must be given. A path of OpenAPI needs
    each of its parts; the program does not: no regions are all regions."""
    for parameter in operation["parameters"]:
        required = parameter.get("required", False)
        yield (parameter["name"], parameter["description"],
               required and parameter["in"] != "path")


def functions(document):
    return [{
        "name": operation["operationId"],
        "description": operation["description"],
        "parameters": {
            name: {"description": text, "type": "string", "required": required}
            for name, text, required in parameters_of(operation)},
    } for operation in operations(document)]


def tools(document):
    made = []
    for operation in operations(document):
        listed = list(parameters_of(operation))
        schema = {"type": "object", "properties": {
            name: {"type": "string", "description": text}
            for name, text, _ in listed}}
        required = [name for name, _, must in listed if must]
        if required:
            schema["required"] = required
        made.append({"name": operation["operationId"],
                     "description": operation["description"],
                     "inputSchema": schema})
    return made


def operations(document):
    return [item["get"] for item in document["paths"].values()]


def capitals(schema):
    """A tool or its schema in the spelling of CloudFormation; the names of
    properties are no keywords and stay."""
    if isinstance(schema, list):
        return [capitals(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key[0].upper() + key[1:]:
            {name: capitals(value) for name, value in item.items()}
            if key == "properties" else capitals(item)
        for key, item in schema.items()}


def as_yaml(value):
    return yaml.safe_dump(value, sort_keys=False, width=80)


def as_json(value):
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def without_comments(text):
    return "".join(line for line in text.splitlines(True)
                   if not line.startswith("#"))


def fill(template, name, text):
    """The template with text, indented as the marks are, between them."""
    mark = re.compile(rf"^( *)# made: {name}\n.*?^\1# end\n", re.M | re.S)
    found = mark.search(template)
    if not found:
        raise SystemExit(f"schemas: no mark for {name} in the template")
    indent = found[1]
    lines = "".join(indent + line if line.strip() else line
                    for line in text.splitlines(True))
    return (template[:found.start()] + f"{indent}# made: {name}\n{lines}"
            f"{indent}# end\n" + template[found.end():])


def make_all():
    """Each file that is made, and what it must hold."""
    source = SOURCE.read_text(encoding="utf-8")
    document = yaml.safe_load(source)
    payload = without_comments(source)
    digest = hashlib.sha256(payload.encode()).hexdigest()[:16]
    agent = (ROOT / "deploy" / "agent.yaml").read_text(encoding="utf-8")
    agent = fill(agent, "payload", "Payload: |\n" + "".join(
        "  " + line if line.strip() else line
        for line in payload.splitlines(True)))
    agent = fill(agent, "hash",
                 f"Description: !Sub schema {digest}, ${{ModelId}}\n")
    gateway = (ROOT / "deploy" / "gateway.yaml").read_text(encoding="utf-8")
    gateway = fill(gateway, "tools", as_yaml(
        {"InlinePayload": capitals(tools(document))}))
    return {
        "schema/functions.json": as_json(functions(document)),
        "schema/tools.json": as_json(tools(document)),
        "deploy/agent.yaml": agent,
        "deploy/gateway.yaml": gateway,
    }


def main():
    check = sys.argv[1:] == ["--check"]
    stale = []
    for name, text in make_all().items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"schemas: {name} "
              + ("is out of date: make schemas" if check else "written"))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
