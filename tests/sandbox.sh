#!/bin/sh
# sandbox.sh [--hybrid] -- COMMAND...
#
# Runs COMMAND where it can do no harm and leave nothing behind, and returns its status: in new mount, pid,
# cgroup, network, UTS and IPC namespaces, with a private /run, and as root of a control group of its own in
# every hierarchy of this host. Whatever COMMAND starts, mounts or creates there dies with it.
#
# Engines and other runtimes are tested in it. It uses util-linux, never taru: a test must not lean on what it tests.
#
# --hybrid   keep the cgroup v2 mount beside the v1 hierarchies. Without it a host with v1 hierarchies shows
#            them alone: crun refuses the hybrid layout.
set -u

layout=v1
[ "${1:-}" = --hybrid ] && layout=hybrid && shift
[ "${1:-}" = -- ] && shift
[ $# -gt 0 ] || { echo "usage: sandbox.sh [--hybrid] -- COMMAND..." >&2; exit 2; }

# The mount point and the own group in one hierarchy, one line each: `MOUNTPOINT TYPE OPTIONS GROUP`.
hierarchies() {
    awk '$(NF-2) == "cgroup" || $(NF-2) == "cgroup2" { print $5, $(NF-2), $NF }' /proc/self/mountinfo |
    while read -r at type options; do
        case $type in
        cgroup2) echo "$at cgroup2 - $(sed -n 's/^0:://p' /proc/self/cgroup)" ;;
        cgroup)
            controllers=${at##*/}
            case ,$options, in *,name=*) which=$(echo "$options" | tr , '\n' | sed -n '/^name=/p') ;; *) which=$controllers ;; esac
            group=$(awk -F: -v which="$which" '{ n = split($2, c, ","); for (i = 1; i <= n; i++) if (c[i] == which) print $3 }' /proc/self/cgroup)
            [ "${which#name=}" != "$which" ] && which="none,$which"
            [ -n "$group" ] && echo "$at cgroup $which $group" ;;
        esac
    done
}

# A frozen process of cgroup v1 does not die of SIGKILL, and the namespace's end waits for it.
thaw() {
    find "$@" -name freezer.state -exec sh -c 'for f; do echo THAWED > "$f"; done' sh {} + 2>/dev/null
    find "$@" -name cgroup.freeze -exec sh -c 'for f; do echo 0 > "$f"; done' sh {} + 2>/dev/null
}

# ---- inside: pid 1 of the new namespaces --------------------------------------------------------------------
if [ "${TARU_SANDBOX:-}" = inside ]; then
    unset TARU_SANDBOX
    mount -t proc proc /proc
    all=$(hierarchies)
    umount -R /sys/fs/cgroup
    case $all in
    "/sys/fs/cgroup cgroup2"*)
        mount -t cgroup2 cgroup /sys/fs/cgroup
        # A group with controllers for its children may hold no process itself.
        mkdir /sys/fs/cgroup/sandbox && echo 0 > /sys/fs/cgroup/sandbox/cgroup.procs
        for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
            echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
        done ;;
    *)
        mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
        echo "$all" | while read -r at type which _; do
            [ "$type" = cgroup2 ] && [ $layout = v1 ] && continue
            mkdir -p "$at"
            case $type in
            cgroup2) mount -t cgroup2 cgroup "$at" ;;
            cgroup) mount -t cgroup -o "$which" cgroup "$at" ;;
            esac
        done ;;
    esac
    mount -t tmpfs -o mode=755 run /run
    mkdir -p /run/lock
    ip link set lo up
    "$@"
    status=$?
    thaw /sys/fs/cgroup
    exit $status
fi

# ---- outside: the groups, the namespaces, and the cleaning up -----------------------------------------------
name=taru-sandbox.$$
all=$(hierarchies)

each_group() { # each_group FUNCTION: calls it with the directory of the sandbox's group in every hierarchy
    echo "$all" | while read -r at _ _ group; do
        "$1" "$at${group%/}" "$name"
    done
}
enter() {
    mkdir "$1/$2" || return
    # A new group of the cpuset hierarchy is empty, and refuses processes until it has both.
    for file in cpuset.cpus cpuset.mems; do
        [ -e "$1/cgroup.clone_children" ] && [ -e "$1/$2/$file" ] && cat "$1/$file" > "$1/$2/$file"
    done
    echo $$ > "$1/$2/cgroup.procs"
}
leave() { echo $$ > "$1/cgroup.procs"; }
remove() {
    [ -d "$1/$2" ] || return
    thaw "$1/$2"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        find "$1/$2" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | xargs -r kill -KILL 2>/dev/null
        find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null
        [ -d "$1/$2" ] || return
        sleep 0.1
    done
    echo "sandbox.sh: \`$1/$2\` could not be removed" >&2
}
clean() { each_group leave; each_group remove; }
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

each_group enter
option=; [ $layout = hybrid ] && option=--hybrid
TARU_SANDBOX=inside unshare --mount --pid --fork --kill-child --cgroup --net --uts --ipc --propagation private -- \
    "$0" $option -- "$@"
