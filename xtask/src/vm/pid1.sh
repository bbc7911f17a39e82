#!/bin/sh
# Runs /vm-command with its output and its status in /vm-out, then powers the machine off.
# As the first process it also does what systemd would: mounts, controllers, the loopback interface.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
if [ "${1:-}" != unit ]; then
    mkdir -p /dev/pts /dev/shm /dev/mqueue
    mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
    mount -t tmpfs -o mode=1777 shm /dev/shm
    mount -t mqueue mqueue /dev/mqueue
    mount -t tmpfs -o mode=755 run /run
    mount -t tmpfs -o mode=1777 tmp /tmp
    mount -t securityfs securityfs /sys/kernel/security
    mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup /sys/fs/cgroup
    ln -sf /proc/self/fd /dev/fd
    ln -sf fd/0 /dev/stdin; ln -sf fd/1 /dev/stdout; ln -sf fd/2 /dev/stderr
    hostname machine
    echo '127.0.0.1 localhost machine' > /etc/hosts
    ip link set lo up
    # Like systemd, leave the root group: a group with controllers for its children may hold no process itself.
    mkdir /sys/fs/cgroup/init
    echo 0 > /sys/fs/cgroup/init/cgroup.procs
    for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
        echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
    done
fi
/vm-command </dev/null >/vm-out/out 2>/vm-out/err
echo $? > /vm-out/status
sync
[ "${1:-}" = unit ] && systemctl poweroff -ff
busybox poweroff -f
