"""Keeps releases side by side; see ../../SPEC.md."""

import json

from componentize_py_types import Err
import wit_world
from wit_world.imports import artifact, command, context, files, log, release
from wit_world.imports.types import Change_Other


class WitWorld(wit_world.WitWorld):
    def deploy(self):
        options = Options(context.options())
        instance = context.get()
        base, version = options.base, instance.version
        port = next((port.number for port in instance.ports if port.name == "http"), None)
        if port is None:
            raise Err("the job has no port http")
        say(f"deploy {instance.job} {version} to {base}")

        content = doing("fetch the artifact", artifact.fetch, options.artifact)

        layout = release.Layout(base, None, [release.Shared("log", True)])
        changing(f"stage {version}", release.stage, layout, version, content, 1)

        directory = doing("read app.conf.tmpl", release.path, base, version)
        template = f"{directory}/app.conf.tmpl"
        text = doing("read app.conf.tmpl", files.read, template, 65_536).decode(errors="replace")
        values = {
            "version": version,
            "address": instance.address,
            "port": str(port),
            "greeting": options.greeting,
        }
        for name, value in values.items():
            text = text.replace("{{" + name + "}}", value)
        attributes = files.Attributes(0o640, None)
        changing("write app.conf", files.write, f"{directory}/app.conf", text.encode(), attributes)

        mark = f"{base}/shared/initialised"
        real = instance.root + mark
        touch, undo = ["/usr/bin/touch", real], ["/usr/bin/rm", "-f", real]
        guards = [command.Guard_Creates(mark)]
        changing("touch initialised", run_to_success, touch, guards, undo)

        changing(f"activate {version}", release.activate, base, version)
        for old in doing("prune", release.prune, base, options.keep):
            say(f"prune {old}")

    def undeploy(self):
        base = Options(context.options()).base
        say(f"undeploy {context.get().job} from {base}")
        changing("remove initialised", files.remove, f"{base}/shared/initialised")
        changing(f"leave {base}", release.leave, base)


class Options:
    """What a job may say."""

    def __init__(self, text):
        options = json.loads(text)
        self.base = string(options, "base")
        self.artifact = string(options, "artifact")
        self.greeting = string(options, "greeting", "hello")
        self.keep = number(options, "keep", 2)


def string(options, name, default=None):
    value = options.get(name, default) if default is not None else options.get(name, ...)
    if value is ...:
        raise Err(f"the option {name} is missing")
    if not isinstance(value, str):
        raise Err(f"the option {name} is not a text")
    return value


def number(options, name, default):
    value = options.get(name, default)
    # A truth value is an `int` too.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or value % 1 != 0 or not 0 <= value <= 0xFFFF_FFFF:
        raise Err(f"the option {name} is not a whole number")
    return int(value)


def run_to_success(argv, guards, undo):
    """Runs a command that must succeed, and that `undo` takes back.

    Nothing else is asked of its outcome, so that a plan goes on behind it.
    """
    semantics = command.Semantics(
        query=False, undo=undo, irreversible=False, assume=None, contain=[],
    )
    spec = command.Spec(
        argv=argv, env=[], cwd=None, user=None, group=None, umask=None, stdin=None,
        timeout=None, guards=guards, success=[], semantics=semantics,
    )
    return command.run(spec).ensure_success()


def say(message):
    log.write(log.Level.INFO, message)


def changing(what, effect, *arguments):
    """Does something that changes the machine, and logs what it changed."""
    change = doing(what, effect, *arguments)
    name = change.value if isinstance(change, Change_Other) else type(change).__name__
    say(f"{what}: {name.removeprefix('Change_').lower()}")


def doing(what, effect, *arguments):
    """Puts what was being done before the host's words."""
    try:
        return effect(*arguments)
    except Err as error:
        raise Err(f"{what}: {error.value.value}") from None
