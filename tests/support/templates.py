"""CloudFormation templates as Python values, and the policies in them as IAM takes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[2] / "infra"
TEMPLATES = sorted(INFRA.glob("*.yaml"))
FIXED = {"AWS::Partition": "aws", "AWS::AccountId": "123456789012", "AWS::Region": "ap-southeast-1"}

Template = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Reads ``!Sub x`` as {"Sub": "x"}."""


def _tagged(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    raise AssertionError(f"!{tag} of a mapping")


_Loader.add_multi_constructor("!", _tagged)


def load(name: str) -> Template:
    """A template by its name, without .yaml."""
    return yaml.load((INFRA / f"{name}.yaml").read_text(), _Loader)


def resolve(value: Any, values: dict[str, str]) -> Any:
    """A part of a template with parameters filled in; what only a cloud knows stays a name."""
    if isinstance(value, list):
        return [resolve(one, values) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Ref"}:
        return (FIXED | values).get(value["Ref"], value["Ref"])
    if value.keys() == {"GetAtt"}:
        return f"arn:aws:iam::{FIXED['AWS::AccountId']}:role/{value['GetAtt'].split('.')[0]}"
    if value.keys() == {"Sub"}:
        return re.sub(r"\$\{([\w:]+)\}", lambda found: (FIXED | values)[found[1]], value["Sub"])
    return {key: resolve(one, values) for key, one in value.items()}


def as_list(value: str | list[str]) -> list[str]:
    """IAM takes one or several in most places."""
    return [value] if isinstance(value, str) else value
