#!/bin/busybox sh
# The first process of the machine: runs /job/command, and writes its output, its messages and its status
# to the raw disk as a tar archive. The serial console is too slow, and mixes in what the kernel says.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
for module in /modules/*; do
    [ ! -e "$module" ] || insmod "$module"
done
cd /job
sh ./command >/out/stdout 2>/out/stderr </dev/null
echo $? >/out/status
for try in 1 2 3 4 5 6 7 8 9 10; do
    [ ! -b /dev/vda ] || break
    sleep 1
done
tar -C /out -cf - . | dd of=/dev/vda bs=64k 2>/dev/null
sync
poweroff -f
