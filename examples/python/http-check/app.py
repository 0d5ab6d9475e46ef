"""Asks the instance for a page; see ../../SPEC.md."""

import json

from componentize_py_types import Err
import wit_world
from wit_world.imports import context, net
from wit_world.imports.health import Metric, Report, Status
from wit_world.imports.types import Error_Denied, Error_Invalid


class WitWorld(wit_world.WitWorld):
    def check(self):
        options = json.loads(context.options())
        path = options.get("path", "/")
        if not isinstance(path, str):
            raise Err("the option path is not a text")
        wanted = number(options, "status", 200)
        timeout = number(options, "timeout", 1000)
        instance = context.get()
        port = next((port.number for port in instance.ports if port.name == "http"), None)
        if port is None:
            raise Err("the job has no port http")

        probe = net.HttpProbe(
            host=instance.address, port=port, path=path, headers=[], timeout=timeout, limit=1024
        )
        try:
            answer = net.http(probe)
        except Err as error:
            # The check itself is at fault, not the instance.
            if isinstance(error.value, (Error_Denied, Error_Invalid)):
                raise Err(error.value.value) from None
            return Report(Status.CRITICAL, error.value.value, [])
        metrics = [Metric("response_time", answer.took / 1e6, "s")]
        if answer.status == wanted:
            return Report(Status.PASSING, f"{path}: {answer.status}", metrics)
        return Report(Status.CRITICAL, f"{path}: {answer.status}, expected {wanted}", metrics)


def number(options, name, default):
    value = options.get(name, default)
    # A truth value is an `int` too.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or value % 1 != 0 or not 0 <= value <= 0xFFFF_FFFF:
        raise Err(f"the option {name} is not a whole number")
    return int(value)
