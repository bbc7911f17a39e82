# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_taru_runtime_global_optspecs
    string join \n debug log= log-format= log-level= root= systemd-cgroup cgroup-manager= rootless= criu= v/version h/help
end

function __fish_taru_runtime_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_taru_runtime_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_taru_runtime_using_subcommand
    set -l cmd (__fish_taru_runtime_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l log -d 'Write errors and warnings to FILE too: a path, file:PATH, journald: or syslog:' -r
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l log-format -d 'How to write them' -r -f -a "text\t''
json\t''"
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l log-level -d 'What to write: messages of this level and above' -r -f -a "error\t''
warning\t''
info\t''
debug\t''"
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l root -d 'Keep the state of containers in DIR [default: /run/taru/runtime, or $XDG_RUNTIME_DIR/taru/runtime for an ordinary user]' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l cgroup-manager -d 'Who makes the control groups [default: cgroupfs]' -r -f -a "cgroupfs\t''
systemd\t''
disabled\t''"
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l rootless -d 'Whether refused control groups are passed over: true, false, or auto (as an ordinary user)' -r -f -a "auto\t''
true\t''
false\t''
1\t''
0\t''
t\t''
f\t''"
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l criu -d 'For checkpoint and restore, which this version does not have' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l debug -d 'Log in detail; the same as --log-level debug'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l systemd-cgroup -d 'Have systemd make the control groups; cgroupsPath is then slice:prefix:name'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -s v -s V -l version -d 'Print the versions of the runtime and of the specification'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "create" -d 'Create a container that waits for start'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "start" -d 'Execute the program of a created container'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "run" -d 'Create and start a container, wait for its end, and delete it'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "kill" -d 'Send a signal to the container\'s first process'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "delete" -d 'Delete a container and all it has on the host'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "state" -d 'Print the state of a container as JSON'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "list" -d 'List the containers of a state directory'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "ps" -d 'List the processes of a container, with their pids outside'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "pause" -d 'Stop all processes of a container where they are'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "resume" -d 'Let the processes of a paused container go on'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "events" -d 'Print what a container uses, as JSON, and when it runs out of memory'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "spec" -d 'Write a starter config.json'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "features" -d 'Print what this runtime can do, as JSON'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "supervise" -d 'Run a container and wait for its end: log its output, record its exit status'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "checkpoint" -d 'Save a running container to disk (not in this version)'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "restore" -d 'Continue a checkpointed container (not in this version)'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -s b -l bundle -d 'The directory with config.json' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l console-socket -d 'Send the main side of the terminal to this socket' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l pid-file -d 'Write the pid of the container\'s first process to this file' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l pidfd-socket -d 'Send the pidfd of the container\'s first process to this socket' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l preserve-fds -d 'Hand on so many further descriptors, from 3 on' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l no-pivot -d 'Enter the root with chroot instead of pivot_root: for a root on a ramdisk'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l no-new-keyring -d 'Leave the session keyring as it is'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l no-subreaper -d 'Accepted for compatibility; create has no children to reap'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand start" -s h -l help -d 'Print help'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -s b -l bundle -d 'The directory with config.json' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l console-socket -d 'Send the main side of the terminal to this socket' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l pid-file -d 'Write the pid of the container\'s first process to this file' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l pidfd-socket -d 'Send the pidfd of the container\'s first process to this socket' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l preserve-fds -d 'Hand on so many further descriptors, from 3 on' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l no-pivot -d 'Enter the root with chroot instead of pivot_root: for a root on a ramdisk'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l no-new-keyring -d 'Leave the session keyring as it is'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -s d -l detach -d 'Return once the program runs'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l keep -d 'Leave the record of the ended container, until delete'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l no-subreaper -d 'Leave orphans of the container to another reaper'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand kill" -s a -l all -d 'Send it to all processes of the container'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand kill" -s h -l help -d 'Print help'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand delete" -s f -l force -d 'Kill it first if it runs; that it does not exist is no error'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand delete" -s h -l help -d 'Print help'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand state" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand list" -s f -l format -d 'How to print them' -r -f -a "table\t''
json\t''"
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand list" -s q -l quiet -d 'Print only the ids'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand ps" -s f -l format -d 'How to print them: ps(1)\'s table, or the pids as JSON' -r -f -a "table\t''
json\t''"
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand pause" -s h -l help -d 'Print help'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand resume" -s h -l help -d 'Print help'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand events" -l interval -d 'Time from one line of usage to the next' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand events" -l stats -d 'Print the usage once and end'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand events" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand spec" -s b -l bundle -d 'Write it into the bundle DIR instead of the current directory' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand spec" -s f -l file -d 'Write it to PATH instead of config.json; - is standard output' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand spec" -l rootless -d 'Make it one that an ordinary user can run'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand spec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand features" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -s b -l bundle -d 'The bundle' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l dir -d 'Where the log and the exit status are written' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l log-size -d 'Begin a new log file at this size' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l log-files -d 'Keep this many log files' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l runtime-log -d 'Where the runtime says why it fails' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l runtime -d 'The OCI runtime to execute [default: this executable]' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -s t -l tty -d 'The container has a terminal'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -s i -l interactive -d 'Keep its standard input open for those who attach'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand checkpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "create" -d 'Create a container that waits for start'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "start" -d 'Execute the program of a created container'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "run" -d 'Create and start a container, wait for its end, and delete it'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "kill" -d 'Send a signal to the container\'s first process'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "delete" -d 'Delete a container and all it has on the host'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "state" -d 'Print the state of a container as JSON'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "list" -d 'List the containers of a state directory'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "ps" -d 'List the processes of a container, with their pids outside'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "pause" -d 'Stop all processes of a container where they are'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "resume" -d 'Let the processes of a paused container go on'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "events" -d 'Print what a container uses, as JSON, and when it runs out of memory'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "spec" -d 'Write a starter config.json'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "features" -d 'Print what this runtime can do, as JSON'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "supervise" -d 'Run a container and wait for its end: log its output, record its exit status'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "checkpoint" -d 'Save a running container to disk (not in this version)'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "restore" -d 'Continue a checkpointed container (not in this version)'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run kill delete state list ps pause resume events spec features supervise checkpoint restore help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
