#!/bin/bash
# A machine, as far as `ray up` can tell: a disk, processes, a network interface and a name of its
# own, and sshd. Runs in new namespaces (machines.py); all of it is gone with its last process.
#
#   machine.sh FOLDER NAME IP GATEWAY SHARED ENVIRONMENT PYTHON_FOLDER...
#
# The disk is this machine's one, and what is written to it is kept in memory. SHARED is a folder
# that the test sees as well, as /mnt; ENVIRONMENT a file of `export` lines that stands for roles.
set -euo pipefail
folder=$1 name=$2 ip=$3 gateway=$4 shared=$5 environment=$6
shift 6

mount --make-rprivate /
mount -t tmpfs tmpfs "$folder"
mkdir "$folder"/{written,work,root}
root=$folder/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/written,workdir=$folder/work" "$root"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
for empty in dev/shm home run tmp; do mount -t tmpfs -o size=3g,mode=1777 tmpfs "$root/$empty"; done
for kept in "$@"; do mkdir -p "$root$kept" && mount --bind "$kept" "$root$kept"; done
mount --bind "$shared" "$root/mnt"

# What the image has: the user of cluster.yaml, whom ssh lets in by the cluster's key, and Python.
# No network is there to install from: pip only puts the checkout on the path.
# It is root's other name, and the first: ssh asks for the home of a number.
sed -i -e '/^ubuntu:/d' -e '1i ubuntu:*:0:0::/home/ubuntu:/bin/bash' "$root/etc/passwd"
mkdir -p "$root/home/ubuntu/.ssh" "$root/run/sshd" "$root/opt/pytorch/bin"
cp "$shared/authorized_keys" "$root/home/ubuntu/.ssh/"
touch "$root/home/ubuntu/.bashrc"
cat > "$root/opt/pytorch/bin/activate" <<EOF
$(cat "$environment")
export PATH=/opt/pytorch/bin:$1/bin:\$PATH
EOF
cat > "$root/opt/pytorch/bin/pip" <<'EOF'
#!/bin/bash
checkout=${!#}
checkout=${checkout%%\[*}
test -f "$checkout/pyproject.toml" || exit 1
echo "export PYTHONPATH=$checkout" >> /opt/pytorch/bin/activate
EOF
chmod 755 "$root/opt/pytorch/bin/pip"

hostname "$name"
printf '127.0.0.1 localhost\n%s %s\n' "$ip" "$name" > "$root/etc/hosts"
: > "$root/etc/resolv.conf"  # nobody is there to be asked
until ip link show eth0 > /dev/null 2>&1; do sleep 0.05; done
ip link set lo up
# Addresses are given again; others must not look for the machine that had this one before.
IFS=. read -ra parts <<< "$ip"
ip link set eth0 address "$(printf '02:00:%02x:%02x:%02x:%02x' "${parts[@]}")"
ip address add "$ip/16" dev eth0
ip link set eth0 up
ip route add default via "$gateway"
ssh-keygen -q -t ed25519 -N '' -f "$root/home/host_key"
exec chroot "$root" /usr/sbin/sshd -D -e -f /dev/null -h /home/host_key -o PermitRootLogin=yes \
  -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no -o UsePAM=no -o StrictModes=no
