# Takes crun's command line and executes $runtime: options that runc does not have are left out or spelt its way.
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    --cgroup-manager) [ "$2" = systemd ] && arguments+=(--systemd-cgroup); shift ;;
    --cgroup-manager=systemd) arguments+=(--systemd-cgroup) ;;
    --cgroup-manager=*) ;;
    --config) [ "$2" = config.json ] || { echo "runc reads config.json only" >&2; exit 1; }; shift ;;
    *) arguments+=("$1") ;;
    esac
    shift
done
exec "$runtime" "${arguments[@]}"
