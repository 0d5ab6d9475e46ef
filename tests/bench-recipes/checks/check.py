"""A health check that always passes: what is left is what a call costs."""

import wit_world
from wit_world.imports import context
from wit_world.imports.health import Report, Status


class WitWorld(wit_world.WitWorld):
    def check(self):
        return Report(Status.PASSING, context.get().id, [])
