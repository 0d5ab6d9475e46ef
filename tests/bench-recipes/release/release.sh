#!/bin/bash
# By hand, as a careful person would: looks before each step, does nothing where nothing is to be done.
set -euo pipefail
own=$OWNER:$GROUP
for dir in "$APP" "$APP/releases" "$APP/cache" "$RELEASE" "$RELEASE/files" "$RELEASE/vendor"; do
  [ -d "$dir" ] || install -d -m 0755 -o "$OWNER" -g "$GROUP" "$dir"
done

cd "$FILES"
want=$(sha256sum -- *)
have=$(cd "$RELEASE/files" && sha256sum -- * 2>/dev/null || true)
[ "$want" = "$have" ] || cp -- * "$RELEASE/files/"
cd "$RELEASE/files"
stat=$(stat -c '%n %U:%G %a' -- *)
while read -r name owner mode; do
  case $name in *.sh) right=755 ;; *) right=644 ;; esac
  [ "$owner" = "$own" ] || chown "$own" "$name"
  [ "$mode" = "$right" ] || chmod "$right" "$name"
done <<<"$stat"

is_whole() { echo "$ARCHIVE_SHA256  $1" | sha256sum -c --status; }
if ! { [ -f "$ARCHIVE" ] && is_whole "$ARCHIVE"; }; then
  curl -fsS -o "$ARCHIVE.part" "$ARCHIVE_URL"
  is_whole "$ARCHIVE.part"
  mv "$ARCHIVE.part" "$ARCHIVE"
  chown "$own" "$ARCHIVE"
  chmod 0644 "$ARCHIVE"
fi
if [ ! -f "$RELEASE/vendor/.unpacked" ]; then
  tar -xzf "$ARCHIVE" -C "$RELEASE/vendor" --no-same-owner
  touch "$RELEASE/vendor/.unpacked"
  chown -R "$own" "$RELEASE/vendor"
fi

text="name    = $NAME
port    = $PORT
workers = $WORKERS
db      = $DATABASE
version = $VERSION"
if [ ! -f "$RELEASE/app.conf" ] || [ "$(<"$RELEASE/app.conf")" != "$text" ]; then
  (umask 077 && printf '%s\n' "$text" >"$RELEASE/app.conf.new")
  chown "$own" "$RELEASE/app.conf.new"
  chmod 0640 "$RELEASE/app.conf.new"
  mv "$RELEASE/app.conf.new" "$RELEASE/app.conf"
fi

[ -f "$RELEASE/.migrated" ] || sh "$RELEASE/files/migrate.sh" "$RELEASE"
if ! { [ -f "$RELEASE/DEPLOYED" ] && [ "$(<"$RELEASE/DEPLOYED")" = "$VERSION" ]; }; then
  echo "$VERSION" >"$RELEASE/DEPLOYED"
  chown "$own" "$RELEASE/DEPLOYED"
fi
if [ "$(readlink "$APP/current" || true)" != "releases/$VERSION" ]; then
  ln -sfn "releases/$VERSION" "$APP/.current.new"
  mv -T "$APP/.current.new" "$APP/current"
fi
