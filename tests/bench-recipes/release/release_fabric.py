"""Fabric has no resources: that nothing is done twice is written by hand, as its users do."""

import hashlib
import io
import os

from fabric import Config, Connection

E = os.environ
app, release, version = E["APP"], E["RELEASE"], E["VERSION"]
own, archive = f"{E['OWNER']}:{E['GROUP']}", E["ARCHIVE"]
config = Config(runtime_ssh_path=E["SSH_CONFIG"])
c = Connection("target", config=config, connect_kwargs={"look_for_keys": False, "allow_agent": False})


def holds(command):
    return c.run(command, warn=True, hide=True).ok


directories = [app, f"{app}/releases", f"{app}/cache", release, f"{release}/files", f"{release}/vendor"]
c.run(f"install -d -m 0755 -o {E['OWNER']} -g {E['GROUP']} {' '.join(directories)}", hide=True)
have = {}
listing = c.run(f"cd {release}/files && sha256sum * 2>/dev/null || true", hide=True).stdout
for line in listing.splitlines():
    digest, name = line.split(maxsplit=1)
    have[name] = digest
changed = False
for name in sorted(os.listdir(E["FILES"])):
    path = f"{E['FILES']}/{name}"
    with open(path, "rb") as file:
        if hashlib.sha256(file.read()).hexdigest() == have.get(name):
            continue
    c.put(path, f"{release}/files/{name}")
    changed = True
if changed:
    c.run(
        f"cd {release}/files && chown {own} * && chmod 0644 *.txt && chmod 0755 *.sh", hide=True
    )
whole = f"echo {E['ARCHIVE_SHA256']}  {archive} | sha256sum -c --status"
if not holds(whole):
    fetch = f"curl -fsS -o {archive} {E['ARCHIVE_URL']}"
    c.run(f"{fetch} && {whole} && chown {own} {archive} && chmod 0644 {archive}", hide=True)
vendor = f"{release}/vendor"
if not holds(f"test -f {vendor}/.unpacked"):
    unpack = f"tar -xzf {archive} -C {vendor} --no-same-owner"
    c.run(f"{unpack} && touch {vendor}/.unpacked && chown -R {own} {vendor}", hide=True)
text = (
    f"name    = {E['NAME']}\nport    = {E['PORT']}\nworkers = {E['WORKERS']}\n"
    f"db      = {E['DATABASE']}\nversion = {version}\n"
)
digest = hashlib.sha256(text.encode()).hexdigest()
if not holds(f"echo {digest}  {release}/app.conf | sha256sum -c --status"):
    c.put(io.StringIO(text), f"{release}/app.conf")
    c.run(f"chown {own} {release}/app.conf && chmod 0640 {release}/app.conf", hide=True)
if not holds(f"test -f {release}/.migrated"):
    c.run(f"sh {release}/files/migrate.sh {release}", hide=True)
if not holds(f'test "$(cat {release}/DEPLOYED)" = {version}'):
    c.run(f"echo {version} > {release}/DEPLOYED && chown {own} {release}/DEPLOYED", hide=True)
if not holds(f'test "$(readlink {app}/current)" = releases/{version}'):
    c.run(f"ln -sfn releases/{version} {app}/.new && mv -T {app}/.new {app}/current", hide=True)
c.close()
