import io
import os

from pyinfra.operations import files, server

E = os.environ
app, release, version = E["APP"], E["RELEASE"], E["VERSION"]
own = {"user": E["OWNER"], "group": E["GROUP"]}
for path in (app, f"{app}/releases", f"{app}/cache", release, f"{release}/files", f"{release}/vendor"):
    files.directory(name=f"directory {path}", path=path, mode="755", **own)
for name in sorted(os.listdir(E["FILES"])):
    mode = "755" if name.endswith(".sh") else "644"
    files.put(name=name, src=f"{E['FILES']}/{name}", dest=f"{release}/files/{name}", mode=mode, **own)
files.download(
    name="archive", src=E["ARCHIVE_URL"], dest=E["ARCHIVE"], sha256sum=E["ARCHIVE_SHA256"], mode="644", **own
)
vendor = f"{release}/vendor"
server.shell(
    name="unpack",
    commands=[
        f"test -f {vendor}/.unpacked || (tar -xzf {E['ARCHIVE']} -C {vendor} --no-same-owner "
        f"&& touch {vendor}/.unpacked && chown -R {E['OWNER']}:{E['GROUP']} {vendor})"
    ],
)
text = (
    f"name    = {E['NAME']}\nport    = {E['PORT']}\nworkers = {E['WORKERS']}\n"
    f"db      = {E['DATABASE']}\nversion = {version}\n"
)
files.put(name="configuration", src=io.StringIO(text), dest=f"{release}/app.conf", mode="640", **own)
server.shell(
    name="migrate", commands=[f"test -f {release}/.migrated || sh {release}/files/migrate.sh {release}"]
)
files.put(name="marker", src=io.StringIO(version + "\n"), dest=f"{release}/DEPLOYED", mode="644", **own)
files.link(name="current", path=f"{app}/current", target=f"releases/{version}")
