"""The recipe {{ name }}."""

from componentize_py_types import Err
import wit_world
from wit_world.imports import context, files, log

DIR = "/opt/{{ name }}"
AS_IT_IS = files.Attributes(None, None)


class WitWorld(wit_world.WitWorld):
    def deploy(self):
        version = context.get().version
        doing(f"make {DIR}", files.directory, DIR, AS_IT_IS)
        path, text = f"{DIR}/greeting", f"hello from {version}\n"
        change = doing(f"write {path}", files.write, path, text.encode(), AS_IT_IS)
        log.write(log.Level.INFO, f"{path}: {type(change).__name__}")

    def undeploy(self):
        doing(f"remove {DIR}", files.remove, DIR)


def doing(what, effect, *arguments):
    """Raises what the host says with what was being done, as the recipe's error."""
    try:
        return effect(*arguments)
    except Err as error:
        raise Err(f"{what}: {error.value.value}") from None
