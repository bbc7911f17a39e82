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

complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -l log -d 'Write errors and warnings to FILE too: a path, file:PATH, journald:NAME or syslog:NAME' -r
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
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "create" -d 'Create a container from a bundle, ready to start'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "start" -d 'Start the program of a created container'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "run" -d 'Create a container, start it and wait for its end'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "exec" -d 'Execute a program in a running container'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "kill" -d 'Send a signal to the first process of a container'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "delete" -d 'Delete a container and all it holds'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "state" -d 'Print the state of a container as JSON'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "list" -d 'List the containers of a state directory'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "ps" -d 'List the processes of a container, with their pids outside'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "pause" -d 'Stop all processes of a container where they are'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "resume" -d 'Let the processes of a paused container go on'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "update" -d 'Change the limits of a container'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "events" -d 'Print what a container uses, as JSON, and when it runs out of memory'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "spec" -d 'Write a starter config.json'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "features" -d 'Print what this runtime can do, as JSON'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "supervise" -d 'Run a container and wait for its end: log its output, record its exit status, check its health'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "checkpoint" -d 'Save a running container to disk (not in this version)'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "restore" -d 'Continue a checkpointed container (not in this version)'
complete -c taru-runtime -n "__fish_taru_runtime_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -s b -l bundle -d 'The bundle: a directory with config.json [default: the current directory]' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -s f -l config -d 'Read FILE instead of the bundle\'s config.json' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l console-socket -d 'Send the terminal\'s master side to the AF_UNIX socket PATH' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l pidfd-socket -d 'Send a pidfd of the container\'s first process to the AF_UNIX socket PATH' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l pid-file -d 'Write the pid of the container\'s first process to FILE' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l preserve-fds -d 'Hand N more descriptors to the container, from 3 on (behind those of LISTEN_FDS)' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l no-pivot -d 'Use chroot instead of pivot_root, for a root file system in the initial ramdisk. Less safe'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l no-new-keyring -d 'Keep the caller\'s session keyring instead of making one for the container'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -l no-subreaper -d 'Do not adopt the orphans of the container while waiting for its end'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand start" -s h -l help -d 'Print help'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -s b -l bundle -d 'The bundle: a directory with config.json [default: the current directory]' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -s f -l config -d 'Read FILE instead of the bundle\'s config.json' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l console-socket -d 'Send the terminal\'s master side to the AF_UNIX socket PATH' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l pidfd-socket -d 'Send a pidfd of the container\'s first process to the AF_UNIX socket PATH' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l pid-file -d 'Write the pid of the container\'s first process to FILE' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l preserve-fds -d 'Hand N more descriptors to the container, from 3 on (behind those of LISTEN_FDS)' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l no-pivot -d 'Use chroot instead of pivot_root, for a root file system in the initial ramdisk. Less safe'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l no-new-keyring -d 'Keep the caller\'s session keyring instead of making one for the container'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l no-subreaper -d 'Do not adopt the orphans of the container while waiting for its end'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -s d -l detach -d 'Do not wait: return once the program runs'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l keep -d 'Do not delete the container after its end'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -l die-with-parent -d 'Kill the container when the process that executed this one ends'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -s p -l process -d 'Take the whole process from FILE, as in config.json; - is standard input' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -s u -l user -d 'Run it as this user and group, by number' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -s g -l additional-gids -d 'Add a supplementary group, by number' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l cwd -d 'Its working directory in the container' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -s e -l env -d 'Set a variable of its environment' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -s c -l cap -d 'Add a capability' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l apparmor -d 'Its AppArmor profile' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l process-label -d 'Its SELinux label' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l cgroup -d 'Put it into an existing group below the container\'s, of one controller or of all' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l pid-file -d 'Write its pid to FILE' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l console-socket -d 'Send the terminal\'s master side to the AF_UNIX socket PATH' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l pidfd-socket -d 'Send a pidfd of it to the AF_UNIX socket PATH' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l preserve-fds -d 'Hand N more descriptors to it, from 3 on (behind those of LISTEN_FDS)' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -s t -l tty -d 'Give it a terminal'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l no-new-privs -d 'Let it gain no rights by executing a program'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -l ignore-paused -d 'Allow it in a paused container: it runs once the container is resumed'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -s d -l detach -d 'Do not wait for its end'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand kill" -s a -l all -d 'Send it to every process of the container'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand kill" -s r -l regex -d 'Take ID as an extended regular expression: signal all containers whose id it matches'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand kill" -s h -l help -d 'Print help'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand delete" -s f -l force -d 'Kill it first if it runs'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand delete" -s r -l regex -d 'Take ID as an extended regular expression: delete all containers whose id it matches'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand delete" -s h -l help -d 'Print help (see more with \'--help\')'
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
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -s r -l resources -d 'Take the limits from the JSON document FILE; - is standard input' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l memory -d 'Memory' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l memory-reservation -d 'Memory that is left when others need some' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l memory-swap -d 'Memory and swap together' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l kernel-memory -d 'Kernel memory (v1, before Linux 5.16)' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l kernel-memory-tcp -d 'TCP buffers (v1)' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l cpu-share -d 'Relative share of CPU time, 2 to 262144' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l cpu-quota -d 'Microseconds of CPU time in a period' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l cpu-period -d 'The period in microseconds; 0 is the kernel\'s default of 100000' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l cpu-burst -d 'Microseconds of unused quota that may be saved up' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l cpu-idle -d '1: run only when nothing else wants to; 0: normally' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l cpu-rt-runtime -d 'Microseconds of real-time scheduling in a real-time period (v1)' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l cpu-rt-period -d 'The real-time period in microseconds (v1)' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l cpuset-cpus -d 'CPUs that may be used, as 0-2,7' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l cpuset-mems -d 'Memory nodes that may be used' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l pids-limit -d 'Number of processes and threads' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l blkio-weight -d 'Relative weight at block devices, 10 to 1000' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l l3-cache-schema -d 'The L3 cache schema of Intel RDT' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -l mem-bw-schema -d 'The memory bandwidth schema of Intel RDT' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand update" -s h -l help -d 'Print help (see more with \'--help\')'
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
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l health-cmd -d 'A word of the program that is executed in the container to find out whether it is well; once for each word' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l health-interval -d 'Wait so long between two checks' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l health-timeout -d 'Kill a check after so long' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l health-start-period -d 'Do not count failures so long after the start' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l health-start-interval -d 'Wait so long between two checks in that time, until one passes' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l health-retries -d 'Take it for unhealthy after so many failures in a row' -r
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -l runtime -d 'The OCI runtime to execute [default: this executable]' -r -F
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -s t -l tty -d 'The container has a terminal'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -s i -l interactive -d 'Keep its standard input open for those who attach'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand supervise" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand checkpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "create" -d 'Create a container from a bundle, ready to start'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "start" -d 'Start the program of a created container'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "run" -d 'Create a container, start it and wait for its end'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "exec" -d 'Execute a program in a running container'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "kill" -d 'Send a signal to the first process of a container'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "delete" -d 'Delete a container and all it holds'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "state" -d 'Print the state of a container as JSON'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "list" -d 'List the containers of a state directory'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "ps" -d 'List the processes of a container, with their pids outside'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "pause" -d 'Stop all processes of a container where they are'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "resume" -d 'Let the processes of a paused container go on'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "update" -d 'Change the limits of a container'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "events" -d 'Print what a container uses, as JSON, and when it runs out of memory'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "spec" -d 'Write a starter config.json'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "features" -d 'Print what this runtime can do, as JSON'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "supervise" -d 'Run a container and wait for its end: log its output, record its exit status, check its health'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "checkpoint" -d 'Save a running container to disk (not in this version)'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "restore" -d 'Continue a checkpointed container (not in this version)'
complete -c taru-runtime -n "__fish_taru_runtime_using_subcommand help; and not __fish_seen_subcommand_from create start run exec kill delete state list ps pause resume update events spec features supervise checkpoint restore help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
