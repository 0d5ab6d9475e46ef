"""The recipe {{ name }}."""

from componentize_py_types import Err
import wit_world
from wit_world.imports import command, context, files, log

DIR = "/opt/{{ name }}"
AS_IT_IS = files.Attributes(None, None)


class WitWorld(wit_world.WitWorld):
    def deploy(self):
        instance = context.get()
        doing(f"make {DIR}", files.directory, DIR, AS_IT_IS)
        path, text = f"{DIR}/greeting", f"hello from {instance.version}\n"
        change = doing(f"write {path}", files.write, path, text.encode(), AS_IT_IS)
        log.write(log.Level.INFO, f"{path}: {type(change).__name__}")

        mark = f"{DIR}/initialised"
        # Commands know the machine's own paths.
        real = instance.root + mark
        touch, undo = ["/bin/touch", real], ["/bin/rm", "-f", real]
        doing(f"initialise {DIR}", run_to_success, touch, undo, mark)

    def undeploy(self):
        doing(f"remove {DIR}", files.remove, DIR)


def run_to_success(argv, undo, mark):
    """Runs a command that must succeed, and that `undo` takes back, unless `mark` is there.

    Nothing else is asked of its outcome, so that a plan goes on behind it.
    """
    semantics = command.Semantics(
        query=False, undo=undo, irreversible=False, assume=None, contain=[],
    )
    spec = command.Spec(
        argv=argv, env=[], cwd=None, user=None, group=None, umask=None, stdin=None, timeout=None,
        guards=[command.Guard_Creates(mark)], success=[], semantics=semantics,
    )
    return command.run(spec).ensure_success()


def doing(what, effect, *arguments):
    """Raises what the host says with what was being done, as the recipe's error."""
    try:
        return effect(*arguments)
    except Err as error:
        raise Err(f"{what}: {error.value.value}") from None
