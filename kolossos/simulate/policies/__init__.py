"""The recovery policies, one a file: a new file here is a new policy, its name the file's with hyphens."""

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from kolossos.errors import InputError, nearest

if TYPE_CHECKING:
    from kolossos.simulate.policy import Policy


@cache
def policy_names() -> tuple[str, ...]:
    """Names of the policies, sorted. No policy is loaded for it."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__)))


def load_policy(name: str) -> "Policy":
    """The policy of that name; InputError names the nearest."""
    if name not in policy_names():
        raise InputError(f"recovery.policy: unknown policy '{name}'{nearest(name, policy_names())}")
    return import_module(f"{__name__}.{name.replace('-', '_')}").POLICY


def policies_in_order() -> dict[str, "Policy"]:
    """All policies by name, the plainest first."""
    loaded = {name: load_policy(name) for name in policy_names()}
    return dict(sorted(loaded.items(), key=lambda item: item[1].place))
