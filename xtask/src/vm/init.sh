#!/bin/sh
# The first program of the test machine: builds the root and gives way to it.
#
# /settings says: SYSTEMD=0|1, and shell functions that attach directories of the host:
#   attach_root DIR, attach_out DIR, and SHARES="TAG:PATH ..." with attach_share TAG DIR
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in /modules/*.ko; do insmod "$module"; done
. /settings

# What the guest writes goes to memory: the host's directories are lower layers.
over() { # over LOWER NAME TARGET
    mkdir -p "/upper/$2/up" "/upper/$2/work"
    chmod 755 "/upper/$2/up"
    mount -t overlay -o "lowerdir=$1,upperdir=/upper/$2/up,workdir=/upper/$2/work" overlay "$3"
}
mount -t tmpfs -o mode=755,size=80% upper /upper
attach_root /lower
over /lower root /root
n=0
for share in $SHARES; do
    n=$((n + 1))
    mkdir -p "/share/$n" "/root${share#*:}"
    attach_share "${share%%:*}" "/share/$n"
    over "/share/$n" "share$n" "/root${share#*:}"
done
mkdir -p /root/vm-out
attach_out /root/vm-out
cp /pid1 /root/vm-pid1
cp /command /root/vm-command
for dir in dev proc sys; do mount --move "/$dir" "/root/$dir"; done

if [ "$SYSTEMD" = 1 ]; then
    mkdir -p /root/etc/systemd/system
    printf '[Unit]\nAfter=basic.target dbus.socket\nWants=dbus.socket\n[Service]\nType=oneshot\nDelegate=yes\nExecStart=/vm-pid1 unit\nStandardInput=null\nStandardOutput=null\nStandardError=null\n' \
        > /root/etc/systemd/system/vm.service
    printf '[Unit]\nRequires=basic.target\nWants=vm.service\nAfter=basic.target\n' > /root/etc/systemd/system/vm.target
    exec switch_root /root /sbin/init --unit=vm.target
fi
exec switch_root /root /vm-pid1
