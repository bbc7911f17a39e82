# run.sh AT_ONCE SECONDS ONLY OUT TESTS MODULES: runs each test file of crun's suite, several at once, and keeps what it
# prints as OUT/FILE.tap and OUT/FILE.err. Runs in the sandbox; the status of a file says nothing, its lines do.
set -u
at_once=$1 seconds=$2 only=$3 out=$4 tests=$5 modules=$6
mount -t tmpfs -o mode=755 work /mnt && cd /mnt || exit
export PYTHONPATH=$tests:$modules PYTHONDONTWRITEBYTECODE=1 seconds out
find "$tests" -name 'test_*.py' -name "*$only*" | sort | xargs -P "$at_once" -I{} sh -c '
    name=$(basename "$1" .py)
    timeout -k 5 "$seconds" /usr/bin/python3 "$1" >"$out/$name.tap" 2>"$out/$name.err" </dev/null
    exit 0' sh {}
