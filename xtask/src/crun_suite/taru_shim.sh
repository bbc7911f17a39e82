# Executes $runtime. The suite skips tests by what crun's --version says it was built with; taru-runtime prints the
# three lines of runc's, which older engines count.
[ "${*: -1}" = --version ] && { "$runtime" --version && echo "+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF"; exit; }
exec "$runtime" "$@"
