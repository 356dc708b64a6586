#!/bin/sh
# Build both images and let them work once, without an engine that could run them: the server on a read-only root file
# system as its own user, /healthz and /readyz, and a whole diagnosis by the client's image.
#
#   deploy/try-images.sh                    needs root and buildah; takes some minutes
#   NO_BUILD=1 deploy/try-images.sh         the images that are there
#   BUILDAH="buildah --root R --runroot S"  another store
#   BASE=1                                  do not look for a newer base image
set -eu
cd "$(dirname "$0")/.."
BUILDAH=${BUILDAH:-buildah}
export BUILDAH_ISOLATION=chroot
if ! command -v "${BUILDAH%% *}" >/dev/null; then
    echo "try-images: buildah is not installed; skipped"
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "try-images: needs root, to mount and to change the user" >&2
    exit 2
fi

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
if [ -z "${NO_BUILD:-}" ]; then
    for name in server client; do
        # In this format, since that of OCI has no health checks.
        # shellcheck disable=SC2086
        $BUILDAH build --format docker ${BASE:+--pull=false} --file "deploy/Containerfile.$name" --tag "heclstm-$name:$version" .
    done
fi

place=$(mktemp -d) containers="" pid=""
clean() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid" || true; }
    for each in $containers; do $BUILDAH rm "$each" >/dev/null; done
    rm -rf "$place"
}
trap clean EXIT
server=$($BUILDAH from --pull-never "localhost/heclstm-server:$version")
containers=$server
client=$($BUILDAH from --pull-never "localhost/heclstm-client:$version")
containers="$server $client"
root=$($BUILDAH mount "$server")
settings() { $BUILDAH inspect --format "{{$1}}" "$server"; }
[ "$(settings .OCIv1.Config.User)" = 10001:10001 ]

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir -p "$place/etc" "$place/hospital" "$place/state"
cat >"$place/etc/service.toml" <<END
state = "/var/lib/heclstm"
listen = "127.0.0.1:$port"
workers = 1
[[programs]]
folder = "/etc/heclstm/program"
END
cp -r "${PROGRAM:-examples/adrenal/program}" "$place/etc/program"
cp "${IMAGES:-examples/adrenal/volumes.npz}" "$place/hospital/"
chmod 755 "$place" && chmod -R a+rX "$place/etc"
chmod 700 "$place/state"
chown 10001:10001 "$place/state" "$place/hospital"

# A root file system that nobody can write to, but for the volume of the state and a small /tmp, as in compose.yaml.
inside() {
    ROOT=$root PLACE=$place exec unshare --mount --propagation private sh -ec '
        mount --bind "$ROOT" "$ROOT"
        mount --rbind /dev "$ROOT/dev"
        mount -t proc proc "$ROOT/proc"
        mkdir -p "$ROOT/etc/heclstm"
        mount --bind "$PLACE/etc" "$ROOT/etc/heclstm"
        mount -o remount,ro,bind "$ROOT/etc/heclstm"
        mount --bind "$PLACE/state" "$ROOT/var/lib/heclstm"
        mount -t tmpfs -o size=64m tmpfs "$ROOT/tmp"
        mount -o remount,ro,bind "$ROOT"
        cd "$ROOT/var/lib/heclstm"
        exec chroot "$ROOT" setpriv --reuid 10001 --regid 10001 --clear-groups --bounding-set=-all --no-new-privs \
            env -i "$@"' sh \
        PATH=/opt/heclstm/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
        HOME=/var/lib/heclstm "$@"
}
of_client() {
    $BUILDAH run --user 10001:10001 --volume "$place/hospital:/hospital" --env MPLCONFIGDIR=/tmp/matplotlib "$client" -- heclstm "$@"
}
get() { python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=3).status)' "http://127.0.0.1:$port$1"; }

echo "try-images: what may be written to"
# By what is mounted: that user may write to nothing else in any case.
(inside sh -ec '
    for each in / /etc/heclstm; do grep "^[^ ]* $each [^ ]* ro," /proc/self/mounts; done
    touch /tmp/fine /var/lib/heclstm/fine
    id -u')
(inside heclstm serve --check /etc/heclstm/service.toml)
(inside heclstm token create /etc/heclstm/service.toml hospital) >"$place/hospital/token.txt"
chown 10001:10001 "$place/hospital/token.txt"
(inside heclstm serve /etc/heclstm/service.toml) >"$place/server.log" 2>&1 &
pid=$!
tries=0
until [ "$(get /readyz 2>/dev/null)" = 200 ]; do
    tries=$((tries + 1))
    if [ $tries -gt 300 ] || ! kill -0 "$pid" 2>/dev/null; then
        cat "$place/server.log" >&2
        exit 1
    fi
    sleep 0.2
done
echo "try-images: /healthz $(get /healthz), /readyz $(get /readyz)"
of_client connect "http://127.0.0.1:$port" --token-file /hospital/token.txt --site /hospital/site
of_client diagnose /hospital/volumes.npz --index 0 --index 1 --site /hospital/site -o /hospital/diagnoses
kill -TERM "$pid"
wait "$pid"
pid=""
echo "try-images: the server ended by itself; it left in its state:"
(cd "$place/state" && find . -maxdepth 3 -not -path './blobs/*/*' | sort | head -20)
