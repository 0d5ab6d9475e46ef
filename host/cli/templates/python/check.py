"""The health check {{ name }}."""

from componentize_py_types import Err
import wit_world
from wit_world.imports import context, net
from wit_world.imports.health import Metric, Report, Status


class WitWorld(wit_world.WitWorld):
    def check(self):
        instance = context.get()
        if not instance.ports:
            raise Err("the job has no port")
        probe = net.HttpProbe(
            host=instance.address, port=instance.ports[0].number, path="/",
            headers=[], timeout=1000, limit=1024,
        )
        try:
            answer = net.http(probe)
        except Err as error:
            return Report(Status.CRITICAL, error.value.value, [])
        status = Status.PASSING if 200 <= answer.status < 400 else Status.CRITICAL
        metrics = [Metric("response_time", answer.took / 1e6, "s")]
        return Report(status, f"status {answer.status}", metrics)
