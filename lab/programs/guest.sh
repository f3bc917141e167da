#!/bin/sh
# Init of a User-Mode Linux (see lab/uml.py): runs what its serial line names, and answers on it.
#
# A question is the path of a script. The answer is a line `done EXIT-CODE OCTETS` and so many octets, which
# are what the script printed, without newlines at its end. What cannot be done at the start is told on the
# console and ends the kernel.
set -eu
export LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run

mkdir -p /run/lib/modules
mount --bind /usr/lib/uml/modules /run/lib/modules
# A helper that the kernel calls has not our environment, see lab/uml.py. So everything is loaded here.
echo > /proc/sys/kernel/modprobe
modprobe -a -d /run $(echo "$MODULES" | tr , ' ')

# duplicate address detection and router solicitation would only delay what is examined
echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/default/router_solicitations
ip link set lo up

exec < /dev/ttyS0 3> /dev/ttyS0
stty raw -echo
printf 'ready\n' >&3
while read -r script; do
    case "$script" in off) break ;; esac
    code=0
    # no more programs than needed: to start one is most of what a question costs here
    text=$(. "$script" 2>&1 < /dev/null 3>&-) || code=$?
    printf 'done %d %d\n%s' "$code" "${#text}" "$text" >&3
done
echo o > /proc/sysrq-trigger
read -r forever
