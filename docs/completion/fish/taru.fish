# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_taru_global_optspecs
    string join \n root= log-level= h/help V/version
end

function __fish_taru_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_taru_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_taru_using_subcommand
    set -l cmd (__fish_taru_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c taru -n "__fish_taru_needs_command" -l root -d 'Keep taru\'s state below DIR [default: /var/lib/taru, or ~/.local/share/taru for an ordinary user]' -r -F
complete -c taru -n "__fish_taru_needs_command" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_needs_command" -s V -l version -d 'Print version'
complete -c taru -n "__fish_taru_needs_command" -f -a "attach" -d 'Connect standard input, output and error to those of a detached container'
complete -c taru -n "__fish_taru_needs_command" -f -a "build" -d 'Build an image from a Dockerfile'
complete -c taru -n "__fish_taru_needs_command" -f -a "cgroup" -d 'Make control groups, limit them, run programs in them'
complete -c taru -n "__fish_taru_needs_command" -f -a "check" -d 'Show what this kernel and this user can do, and what to do about what is missing'
complete -c taru -n "__fish_taru_needs_command" -f -a "chroot" -d 'Run a program with another root directory, which it cannot leave'
complete -c taru -n "__fish_taru_needs_command" -f -a "commit" -d 'Make an image of a container'
complete -c taru -n "__fish_taru_needs_command" -f -a "completion" -d 'Print the script that completes taru\'s verbs and options in a shell'
complete -c taru -n "__fish_taru_needs_command" -f -a "cp" -d 'Copy files into or out of a container'
complete -c taru -n "__fish_taru_needs_command" -f -a "diff" -d 'List what a container changed in its root'
complete -c taru -n "__fish_taru_needs_command" -f -a "enter" -d 'Run a program in the namespaces of another process'
complete -c taru -n "__fish_taru_needs_command" -f -a "exec" -d 'Run a further program in a container that runs'
complete -c taru -n "__fish_taru_needs_command" -f -a "export" -d 'Write the whole root of a container as a tar'
complete -c taru -n "__fish_taru_needs_command" -f -a "history" -d 'Show how an image was made: an instruction a line, the last first'
complete -c taru -n "__fish_taru_needs_command" -f -a "idmap" -d 'Map user and group ids: mounts with other owners, and user namespaces'
complete -c taru -n "__fish_taru_needs_command" -f -a "image" -d 'List, name, inspect, save, load, verify and remove images'
complete -c taru -n "__fish_taru_needs_command" -f -a "images" -d 'List images'
complete -c taru -n "__fish_taru_needs_command" -f -a "import" -d 'Make an image of a root file system'
complete -c taru -n "__fish_taru_needs_command" -f -a "inspect" -d 'Show all there is to know of containers, as JSON'
complete -c taru -n "__fish_taru_needs_command" -f -a "kill" -d 'Send a signal to the first process of containers'
complete -c taru -n "__fish_taru_needs_command" -f -a "link" -d 'Make links between network namespaces, with their addresses, in one command'
complete -c taru -n "__fish_taru_needs_command" -f -a "load" -d 'Load images from a file, a directory or standard input'
complete -c taru -n "__fish_taru_needs_command" -f -a "login" -d 'Log in to a registry'
complete -c taru -n "__fish_taru_needs_command" -f -a "logout" -d 'Forget the credentials for a registry'
complete -c taru -n "__fish_taru_needs_command" -f -a "logs" -d 'Show what a container wrote: its standard output on standard output, its standard error on standard error'
complete -c taru -n "__fish_taru_needs_command" -f -a "netns" -d 'Make network namespaces, run programs in them, and name those that exist'
complete -c taru -n "__fish_taru_needs_command" -f -a "ps" -d 'List containers'
complete -c taru -n "__fish_taru_needs_command" -f -a "pull" -d 'Fetch images from a registry'
complete -c taru -n "__fish_taru_needs_command" -f -a "push" -d 'Send an image to a registry'
complete -c taru -n "__fish_taru_needs_command" -f -a "rm" -d 'Remove containers, their logs and what they kept'
complete -c taru -n "__fish_taru_needs_command" -f -a "rmi" -d 'Remove images'
complete -c taru -n "__fish_taru_needs_command" -f -a "run" -d 'Run a program in a new container'
complete -c taru -n "__fish_taru_needs_command" -f -a "save" -d 'Save images to a file, a directory or standard output'
complete -c taru -n "__fish_taru_needs_command" -f -a "search" -d 'Search a registry for images'
complete -c taru -n "__fish_taru_needs_command" -f -a "start" -d 'Start containers that ended once more, in the background'
complete -c taru -n "__fish_taru_needs_command" -f -a "stop" -d 'Stop containers: ask with SIGTERM, and kill what has not ended in time'
complete -c taru -n "__fish_taru_needs_command" -f -a "store" -d 'See to the room that images and containers take'
complete -c taru -n "__fish_taru_needs_command" -f -a "tag" -d 'Give an image one more name'
complete -c taru -n "__fish_taru_needs_command" -f -a "unshare" -d 'Run a program in new namespaces'
complete -c taru -n "__fish_taru_needs_command" -f -a "version" -d 'Show the versions of taru and of the kernel'
complete -c taru -n "__fish_taru_needs_command" -f -a "wait" -d 'Wait until containers have ended, and print their exit statuses, one a line'
complete -c taru -n "__fish_taru_using_subcommand attach" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand attach" -l no-stdin -d 'Only look: do not take standard input'
complete -c taru -n "__fish_taru_using_subcommand attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand build" -s t -l tag -d 'Name the image; as often as wanted' -r
complete -c taru -n "__fish_taru_using_subcommand build" -s f -l file -d 'Read this Dockerfile in place of CONTEXT/Dockerfile; `-` reads standard input' -r -F
complete -c taru -n "__fish_taru_using_subcommand build" -l target -d 'Build this stage, and those that it needs' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l build-arg -d 'Set a variable that an ARG names; without a value it is that of the environment' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l label -d 'Add a label to the image' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l platform -d 'Build for this platform in place of this host\'s' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l no-cache-filter -d 'Execute every step of these stages' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l cache-from -d 'Take results of steps from elsewhere: an image that was built with `--cache-to type=inline`, or `type=local,src=DIR`' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l cache-to -d 'Put results of steps elsewhere: `type=inline` (into the image) or `type=local,dest=DIR`' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l build-context -d 'Give a further context: `NAME=DIRECTORY` or `NAME=docker-image://IMAGE`' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l secret -d 'Give a secret to steps that mount it: `id=ID,src=FILE` or `id=ID,env=VARIABLE`' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l ssh -d 'Give an agent to steps that mount it: `default` (that of $SSH_AUTH_SOCK) or `ID=SOCKET`' -r
complete -c taru -n "__fish_taru_using_subcommand build" -s o -l output -d 'Make something else of the result: `type=docker|oci|tar,dest=FILE`, `type=local,dest=DIRECTORY`, or DIRECTORY' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l iidfile -d 'Write the id of the image to this file' -r -F
complete -c taru -n "__fish_taru_using_subcommand build" -l network -d 'Give this network to steps that name none' -r -f -a "default\t'The host\'s'
host\t'The host\'s'
none\t'None'"
complete -c taru -n "__fish_taru_using_subcommand build" -l allow -d 'Allow what is not allowed by default: `security.insecure`' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l cgroup-parent -d 'Make the control groups of steps below this one' -r
complete -c taru -n "__fish_taru_using_subcommand build" -l progress -d 'Choose how progress is shown' -r -f -a "auto\t'Bars on a terminal, lines elsewhere'
tty\t'Bars'
plain\t'A line for each finished step'
quiet\t'Nothing'"
complete -c taru -n "__fish_taru_using_subcommand build" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand build" -l no-cache -d 'Execute every step, whatever was built before'
complete -c taru -n "__fish_taru_using_subcommand build" -l pull -d 'Look for newer images in their registries'
complete -c taru -n "__fish_taru_using_subcommand build" -l squash -d 'Make one layer of all; not supported, say why'
complete -c taru -n "__fish_taru_using_subcommand build" -l check -d 'Look for faults of the Dockerfile and build nothing'
complete -c taru -n "__fish_taru_using_subcommand build" -s q -l quiet -d 'Show no progress'
complete -c taru -n "__fish_taru_using_subcommand build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "create" -d 'Make a group, and set its limits'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "set" -d 'Change the limits of a group'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "get" -d 'Show files of a group: those named, or all that hold limits'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "run" -d 'Run a program in a group'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "attach" -d 'Move processes into a group'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "stat" -d 'Show what a group uses'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "freeze" -d 'Stop all processes of a group, until thawed'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "thaw" -d 'Let the processes of a frozen group go on'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "kill" -d 'Kill all processes of a group and of the groups below it'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "wait-empty" -d 'Wait until no process is in a group or below it'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "remove" -d 'Remove groups, with the groups below them'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "rm" -d 'Remove groups, with the groups below them'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and not __fish_seen_subcommand_from create set get run attach stat freeze thaw kill wait-empty remove rm list" -f -a "list" -d 'List groups'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l cpus -d 'CPU time: this many CPUs' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l cpu-quota -d 'CPU time in each period in microseconds, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l cpu-period -d 'Length of the period in microseconds' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l cpu-burst -d 'Unused quota in microseconds that may be saved for later' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l cpu-shares -d 'Relative share of CPU time, 2 to 262144; 1024 is normal' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l cpu-weight -d 'The same on the scale of cgroup v2, 1 to 10000; 100 is normal' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l cpu-idle -d 'Run only when nobody else wants to: true or false' -r -f -a "true\t''
false\t''"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l cpuset -l cpuset-cpus -d 'The CPUs, as a list such as 0-2,7' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l cpuset-mems -d 'The memory nodes, as a list' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l memory -d 'Memory, such as 64M, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l memory-reservation -d 'Memory that stays when memory is short' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l memory-swap -d 'Memory and swap together, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l pids -d 'Processes and threads, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l blkio-weight -d 'Relative weight of block I/O, 10 to 1000' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l device-read-bps -d 'Bytes a second read from a device; 0 lifts the limit' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l device-write-bps -d 'Bytes a second written to a device' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l device-read-iops -d 'Reads a second from a device' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l device-write-iops -d 'Writes a second to a device' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l device-allow -d 'Allow a device: /dev/null:rw or `c 1:3 rwm`; implies --device-deny-all' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l hugetlb -d 'Huge pages, as 2MB:64M' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l net-class -d 'Class of packets for tc(8), such as 0x100001 (v1)' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l net-priority -d 'Priority of packets by interface, as eth0:5 (v1)' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l unified -d 'A file of cgroup v2 by name' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -l device-deny-all -d 'Deny all devices but those of --device-allow'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l cpus -d 'CPU time: this many CPUs' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l cpu-quota -d 'CPU time in each period in microseconds, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l cpu-period -d 'Length of the period in microseconds' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l cpu-burst -d 'Unused quota in microseconds that may be saved for later' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l cpu-shares -d 'Relative share of CPU time, 2 to 262144; 1024 is normal' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l cpu-weight -d 'The same on the scale of cgroup v2, 1 to 10000; 100 is normal' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l cpu-idle -d 'Run only when nobody else wants to: true or false' -r -f -a "true\t''
false\t''"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l cpuset -l cpuset-cpus -d 'The CPUs, as a list such as 0-2,7' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l cpuset-mems -d 'The memory nodes, as a list' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l memory -d 'Memory, such as 64M, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l memory-reservation -d 'Memory that stays when memory is short' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l memory-swap -d 'Memory and swap together, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l pids -d 'Processes and threads, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l blkio-weight -d 'Relative weight of block I/O, 10 to 1000' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l device-read-bps -d 'Bytes a second read from a device; 0 lifts the limit' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l device-write-bps -d 'Bytes a second written to a device' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l device-read-iops -d 'Reads a second from a device' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l device-write-iops -d 'Writes a second to a device' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l device-allow -d 'Allow a device: /dev/null:rw or `c 1:3 rwm`; implies --device-deny-all' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l hugetlb -d 'Huge pages, as 2MB:64M' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l net-class -d 'Class of packets for tc(8), such as 0x100001 (v1)' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l net-priority -d 'Priority of packets by interface, as eth0:5 (v1)' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l unified -d 'A file of cgroup v2 by name' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -l device-deny-all -d 'Deny all devices but those of --device-allow'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from get" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from get" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -s g -l group -d 'The group [default: a new one for this run]' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l cpus -d 'CPU time: this many CPUs' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l cpu-quota -d 'CPU time in each period in microseconds, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l cpu-period -d 'Length of the period in microseconds' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l cpu-burst -d 'Unused quota in microseconds that may be saved for later' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l cpu-shares -d 'Relative share of CPU time, 2 to 262144; 1024 is normal' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l cpu-weight -d 'The same on the scale of cgroup v2, 1 to 10000; 100 is normal' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l cpu-idle -d 'Run only when nobody else wants to: true or false' -r -f -a "true\t''
false\t''"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l cpuset -l cpuset-cpus -d 'The CPUs, as a list such as 0-2,7' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l cpuset-mems -d 'The memory nodes, as a list' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l memory -d 'Memory, such as 64M, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l memory-reservation -d 'Memory that stays when memory is short' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l memory-swap -d 'Memory and swap together, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l pids -d 'Processes and threads, or `max`' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l blkio-weight -d 'Relative weight of block I/O, 10 to 1000' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l device-read-bps -d 'Bytes a second read from a device; 0 lifts the limit' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l device-write-bps -d 'Bytes a second written to a device' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l device-read-iops -d 'Reads a second from a device' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l device-write-iops -d 'Writes a second to a device' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l device-allow -d 'Allow a device: /dev/null:rw or `c 1:3 rwm`; implies --device-deny-all' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l hugetlb -d 'Huge pages, as 2MB:64M' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l net-class -d 'Class of packets for tc(8), such as 0x100001 (v1)' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l net-priority -d 'Priority of packets by interface, as eth0:5 (v1)' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l unified -d 'A file of cgroup v2 by name' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -l device-deny-all -d 'Deny all devices but those of --device-allow'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from attach" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from attach" -l thread -d 'Move single threads: anywhere on v1, within a threaded subtree on v2'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from stat" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from stat" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from stat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from freeze" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from freeze" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from thaw" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from thaw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from kill" -s s -l signal -d 'Send this signal, by name or number, instead of SIGKILL' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from kill" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from wait-empty" -l timeout -d 'Give up after this time, with exit status 1' -r
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from wait-empty" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from wait-empty" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from remove" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from remove" -l kill -d 'Kill their processes first'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from rm" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from rm" -l kill -d 'Kill their processes first'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from list" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from list" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cgroup; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand check" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand check" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand chroot" -l bind -d 'Bind SRC of the host at DST of the new root [default: the same path]' -r
complete -c taru -n "__fish_taru_using_subcommand chroot" -l ro-bind -d 'As --bind, read-only with all below' -r
complete -c taru -n "__fish_taru_using_subcommand chroot" -l tmpfs -d 'Mount an empty tmpfs at DST' -r -F
complete -c taru -n "__fish_taru_using_subcommand chroot" -l userspec -d 'Run as this user and group, by name or number' -r
complete -c taru -n "__fish_taru_using_subcommand chroot" -l groups -d 'Run with these further groups' -r
complete -c taru -n "__fish_taru_using_subcommand chroot" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand chroot" -l proc -d 'Mount procfs at /proc'
complete -c taru -n "__fish_taru_using_subcommand chroot" -l ro -d 'Make the new root read-only (what is bound with --bind stays writable)'
complete -c taru -n "__fish_taru_using_subcommand chroot" -l skip-chdir -d 'Do not change the working directory to `/` (only where NEWROOT is the old root)'
complete -c taru -n "__fish_taru_using_subcommand chroot" -l keep-caps -d 'Keep all capabilities: for a NEWROOT and a program that you trust as the host\'s own'
complete -c taru -n "__fish_taru_using_subcommand chroot" -l share-pid -d 'Stay in the host\'s PID namespace: what the program leaves running stays, and the host\'s processes are in its reach'
complete -c taru -n "__fish_taru_using_subcommand chroot" -s r -l map-root-user -d 'As an ordinary user: be root inside'
complete -c taru -n "__fish_taru_using_subcommand chroot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand commit" -s a -l author -d 'Say who made the image' -r
complete -c taru -n "__fish_taru_using_subcommand commit" -s m -l message -d 'Say what was changed' -r
complete -c taru -n "__fish_taru_using_subcommand commit" -s c -l change -d 'Change how the image wants to be run, by an instruction of a Dockerfile' -r
complete -c taru -n "__fish_taru_using_subcommand commit" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand commit" -l no-pause -d 'Let the container go on meanwhile'
complete -c taru -n "__fish_taru_using_subcommand commit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand completion" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand cp" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand cp" -s a -l archive -d 'Keep owners; else what is copied into a container is root\'s there, and out of it the caller\'s'
complete -c taru -n "__fish_taru_using_subcommand cp" -s L -l follow-link -d 'If the source is a symbolic link, copy what it leads to'
complete -c taru -n "__fish_taru_using_subcommand cp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand diff" -l format -d 'Print as lines or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand diff" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand enter" -s t -l target -d 'The process whose namespaces are meant' -r
complete -c taru -n "__fish_taru_using_subcommand enter" -s m -l mount -d 'Enter the mount namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s u -l uts -d 'Enter the UTS namespace (host name)' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s i -l ipc -d 'Enter the IPC namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s n -l net -d 'Enter the network namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s p -l pid -d 'Enter the PID namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s C -l cgroup -d 'Enter the cgroup namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s U -l user -d 'Enter the user namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s T -l time -d 'Enter the time namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s S -l setuid -d 'Set the user id in the namespace [default with --user: 0]' -r
complete -c taru -n "__fish_taru_using_subcommand enter" -s G -l setgid -d 'Set the group id in the namespace, without further groups [default with --user: 0]' -r
complete -c taru -n "__fish_taru_using_subcommand enter" -s r -l root -d 'Set the root directory: to DIR, or to the target\'s' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s w -l wd -d 'Set the working directory: to DIR, or to the target\'s' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -s W -l wdns -d 'Set the working directory to DIR as seen in the namespaces' -r -F
complete -c taru -n "__fish_taru_using_subcommand enter" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand enter" -s a -l all -d 'Enter all namespaces of the target that are not ours already'
complete -c taru -n "__fish_taru_using_subcommand enter" -l preserve-credentials -d 'Leave user and group as they are'
complete -c taru -n "__fish_taru_using_subcommand enter" -s F -l no-fork -d 'Do not fork: the program is then outside the PID namespace, its children inside'
complete -c taru -n "__fish_taru_using_subcommand enter" -s Z -l follow-context -d 'Run the program in the SELinux context of the target'
complete -c taru -n "__fish_taru_using_subcommand enter" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand exec" -s u -l user -d 'Run as this user, by name or number' -r
complete -c taru -n "__fish_taru_using_subcommand exec" -s w -l workdir -d 'Run in this directory' -r
complete -c taru -n "__fish_taru_using_subcommand exec" -s e -l env -d 'Set a variable of the environment; without a value, take over taru\'s own' -r
complete -c taru -n "__fish_taru_using_subcommand exec" -l env-file -d 'Set the variables that FILE has, one a line; --env counts more' -r -F
complete -c taru -n "__fish_taru_using_subcommand exec" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand exec" -s t -l tty -d 'Give the program a terminal'
complete -c taru -n "__fish_taru_using_subcommand exec" -s i -l interactive -d 'Keep standard input open; it always is, this is accepted as Docker\'s habit'
complete -c taru -n "__fish_taru_using_subcommand exec" -s d -l detach -d 'Run in the background'
complete -c taru -n "__fish_taru_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand export" -s o -l output -d 'Write to FILE in place of standard output' -r -F
complete -c taru -n "__fish_taru_using_subcommand export" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand history" -l platform -d 'Of an image for several platforms, show this one' -r
complete -c taru -n "__fish_taru_using_subcommand history" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand history" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand history" -l no-trunc -d 'Print instructions in full'
complete -c taru -n "__fish_taru_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand idmap; and not __fish_seen_subcommand_from bind make show" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand idmap; and not __fish_seen_subcommand_from bind make show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand idmap; and not __fish_seen_subcommand_from bind make show" -f -a "bind" -d 'Mount a directory again, with other owners'
complete -c taru -n "__fish_taru_using_subcommand idmap; and not __fish_seen_subcommand_from bind make show" -f -a "make" -d 'Make a user namespace with a map and keep it at a file'
complete -c taru -n "__fish_taru_using_subcommand idmap; and not __fish_seen_subcommand_from bind make show" -f -a "show" -d 'Show the id maps of a process, as seen from here'
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from bind" -l map -d 'Map LENGTH users and groups from INSIDE on to OUTSIDE and on' -r
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from bind" -l users -d 'Map users only' -r
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from bind" -l groups -d 'Map groups only' -r
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from bind" -l userns -d 'Take the maps of a user namespace: of process PID, or kept at FILE' -r
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from bind" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from bind" -s r -l recursive -d 'And all mounts below SRC'
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from bind" -l ro -d 'Read-only'
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from bind" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from make" -l map -d 'Map LENGTH users and groups from INSIDE on to OUTSIDE and on' -r
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from make" -l users -d 'Map users only' -r
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from make" -l groups -d 'Map groups only' -r
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from make" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from make" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from show" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from show" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand idmap; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "bootstrap" -d 'Make an image of a distribution\'s packages, without a registry'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "history" -d 'Show how an image was made: an instruction a line, the last first'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "import" -d 'Make an image of a root file system'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "inspect" -d 'Show all there is to know of images, as JSON'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "load" -d 'Load images from a file, a directory or standard input'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "ls" -d 'List images'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "list" -d 'List images'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "mount" -d 'Show the files of an image at a directory, read-only'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "prune" -d 'Remove images that have lost their name, and all that nothing needs any more'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "rm" -d 'Remove images'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "remove" -d 'Remove images'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "save" -d 'Save images to a file, a directory or standard output'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "tag" -d 'Give an image one more name'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "unmount" -d 'Take an image that was mounted away from a directory'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "umount" -d 'Take an image that was mounted away from a directory'
complete -c taru -n "__fish_taru_using_subcommand image; and not __fish_seen_subcommand_from bootstrap history import inspect load ls list mount prune rm remove save tag unmount umount verify" -f -a "verify" -d 'Verify an image: its signature, its blobs and its unpacked files'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -l variant -d 'Choose the packages to begin with: minbase, essential, apt, required, important, standard, buildd [default: minbase]' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -l include -d 'Install this package too' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -l arch -d 'Take packages for this architecture, by its Debian name, such as arm64: its programs must run here' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -l mirror -d 'Take packages from this mirror' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -l component -d 'Take packages of this part of the archive too, not of main alone' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -s c -l change -d 'Carry out an instruction of a Dockerfile on it, as taru image import does' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -l progress -d 'Choose how progress is shown' -r -f -a "auto\t'Bars on a terminal, lines elsewhere'
tty\t'Bars'
plain\t'A line for each finished step'
quiet\t'Nothing'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -s q -l quiet -d 'Show no progress'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from bootstrap" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from history" -l platform -d 'Of an image for several platforms, show this one' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from history" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from history" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from history" -l no-trunc -d 'Print instructions in full'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from import" -s c -l change -d 'Carry out an instruction of a Dockerfile on it: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from import" -s m -l message -d 'Note this in the image\'s history' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from import" -l platform -d 'Say that it is for this platform, not for this host\'s' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from import" -l metadata -d 'Take from this tar what there is to know of a system container' -r -F
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from import" -l progress -d 'Choose how progress is shown' -r -f -a "auto\t'Bars on a terminal, lines elsewhere'
tty\t'Bars'
plain\t'A line for each finished step'
quiet\t'Nothing'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from import" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from import" -l system -d 'ROOT is the image of a system container in one file: metadata.yaml and rootfs/'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from import" -s q -l quiet -d 'Show no progress'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from inspect" -l platform -d 'Of an image for several platforms, show this one' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from inspect" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from load" -s i -l input -d 'Read this file or directory, not standard input' -r -F
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from load" -l only -d 'Load only the image of this name, under no other' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from load" -s t -l tag -d 'Give this name to the one image in the archive, and no other' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from load" -l progress -d 'Choose how progress is shown' -r -f -a "auto\t'Bars on a terminal, lines elsewhere'
tty\t'Bars'
plain\t'A line for each finished step'
quiet\t'Nothing'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from load" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from load" -s q -l quiet -d 'Show no progress'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from load" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from ls" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from ls" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Print ids only, one a line'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Print whole ids'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from list" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from list" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print ids only, one a line'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from list" -l no-trunc -d 'Print whole ids'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from mount" -l platform -d 'Of an image for several platforms, show this one' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from mount" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from mount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from prune" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove every image that no container uses, named or not'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from rm" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from rm" -s f -l force -d 'Remove an image that has several names, or that a container uses: that one goes on'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from remove" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from remove" -s f -l force -d 'Remove an image that has several names, or that a container uses: that one goes on'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from save" -s o -l output -d 'Write to this file or directory, not to standard output' -r -F
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from save" -l format -d 'Choose the archive\'s format' -r -f -a "oci\t'Layers and digests as they are in the store, under both OCI\'s and Docker\'s tables of contents'
docker\t'Layers uncompressed, as docker save wrote them first: for readers that decompress nothing'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from save" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from save" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from tag" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from tag" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from unmount" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from unmount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from umount" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from umount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from verify" -l key -d 'Want a signature by one of these public keys, whatever the policy says' -r -F
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from verify" -l platform -d 'Of an image for several platforms, verify this one' -r
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from verify" -l format -d 'Print for people or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from verify" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand image; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand images" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand images" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand images" -s q -l quiet -d 'Print ids only, one a line'
complete -c taru -n "__fish_taru_using_subcommand images" -l no-trunc -d 'Print whole ids'
complete -c taru -n "__fish_taru_using_subcommand images" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand import" -s c -l change -d 'Carry out an instruction of a Dockerfile on it: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR' -r
complete -c taru -n "__fish_taru_using_subcommand import" -s m -l message -d 'Note this in the image\'s history' -r
complete -c taru -n "__fish_taru_using_subcommand import" -l platform -d 'Say that it is for this platform, not for this host\'s' -r
complete -c taru -n "__fish_taru_using_subcommand import" -l metadata -d 'Take from this tar what there is to know of a system container' -r -F
complete -c taru -n "__fish_taru_using_subcommand import" -l progress -d 'Choose how progress is shown' -r -f -a "auto\t'Bars on a terminal, lines elsewhere'
tty\t'Bars'
plain\t'A line for each finished step'
quiet\t'Nothing'"
complete -c taru -n "__fish_taru_using_subcommand import" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand import" -l system -d 'ROOT is the image of a system container in one file: metadata.yaml and rootfs/'
complete -c taru -n "__fish_taru_using_subcommand import" -s q -l quiet -d 'Show no progress'
complete -c taru -n "__fish_taru_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand inspect" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand kill" -s s -l signal -d 'The signal, by name or number' -r
complete -c taru -n "__fish_taru_using_subcommand kill" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand link; and not __fish_seen_subcommand_from add delete del list ls move" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand link; and not __fish_seen_subcommand_from add delete del list ls move" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand link; and not __fish_seen_subcommand_from add delete del list ls move" -f -a "add" -d 'Make a link, give it addresses and routes, and set it up'
complete -c taru -n "__fish_taru_using_subcommand link; and not __fish_seen_subcommand_from add delete del list ls move" -f -a "delete" -d 'Delete a link; the other end of a veth pair goes with it'
complete -c taru -n "__fish_taru_using_subcommand link; and not __fish_seen_subcommand_from add delete del list ls move" -f -a "del" -d 'Delete a link; the other end of a veth pair goes with it'
complete -c taru -n "__fish_taru_using_subcommand link; and not __fish_seen_subcommand_from add delete del list ls move" -f -a "list" -d 'List the links of a network namespace with their addresses'
complete -c taru -n "__fish_taru_using_subcommand link; and not __fish_seen_subcommand_from add delete del list ls move" -f -a "ls" -d 'List the links of a network namespace with their addresses'
complete -c taru -n "__fish_taru_using_subcommand link; and not __fish_seen_subcommand_from add delete del list ls move" -f -a "move" -d 'Move a link into another network namespace, with its permanent global addresses, and set it up'
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l type -d 'What kind of link it is' -r -f -a "veth\t'A virtual cable with two ends'
macvlan\t'A further hardware address on the parent'
ipvlan\t'Further addresses on the parent\'s hardware address'
bridge\t'A switch'
dummy\t'A link that drops what is sent'
vlan\t'The parent\'s packets with a VLAN tag'
vxlan\t'Ethernet over UDP'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l netns -d 'Create it in this network namespace [default: this one]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l address -d 'Give it this address; may be repeated' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l gateway -d 'Send what is for elsewhere through this router: a default route in its namespace; may be repeated' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l mac -d 'Give it this hardware address [default: a random one]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l mtu -d 'Set its largest packet, in bytes [default: what the kernel takes]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l master -d 'Make it a port of this bridge' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l parent -d 'Put it on this link of this namespace (macvlan, ipvlan, vlan, vxlan)' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l mode -d 'How links on the same parent may talk (macvlan, ipvlan) [default: bridge, or l2]' -r -f -a "bridge\t'macvlan: directly'
private\t'macvlan: not at all'
vepa\t'macvlan: through a switch outside'
passthru\t'macvlan: one link takes the parent over'
l2\t'ipvlan: as on a switch'
l3\t'ipvlan: as through a router'
l3s\t'ipvlan: as through a router, with the parent\'s packet filter'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l id -d 'The number of the VLAN, 1 to 4094, or of the VXLAN network, 24 bits' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l remote -d 'Send to this address: the only peer or a multicast group (vxlan)' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l peer -d 'The name of the other end (veth)' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l peer-netns -d 'Create the other end in this network namespace [default: this one]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l peer-address -d 'Give the other end this address; may be repeated' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l peer-gateway -d 'Make a default route through this router in the other end\'s namespace; may be repeated' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l peer-mac -d 'Give the other end this hardware address [default: a random one]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -l down -d 'Leave it down'
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from delete" -l netns -d 'The network namespace it lies in [default: this one]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from delete" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from del" -l netns -d 'The network namespace it lies in [default: this one]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from del" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from del" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from list" -l netns -d 'The network namespace [default: this one]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from list" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from list" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from ls" -l netns -d 'The network namespace [default: this one]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from ls" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from ls" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from move" -l netns -d 'The network namespace it goes to' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from move" -l rename -d 'The name it gets there; `NAME%d` becomes the first one that is free [default: the same]' -r
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from move" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand link; and __fish_seen_subcommand_from move" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand load" -s i -l input -d 'Read this file or directory, not standard input' -r -F
complete -c taru -n "__fish_taru_using_subcommand load" -l only -d 'Load only the image of this name, under no other' -r
complete -c taru -n "__fish_taru_using_subcommand load" -s t -l tag -d 'Give this name to the one image in the archive, and no other' -r
complete -c taru -n "__fish_taru_using_subcommand load" -l progress -d 'Choose how progress is shown' -r -f -a "auto\t'Bars on a terminal, lines elsewhere'
tty\t'Bars'
plain\t'A line for each finished step'
quiet\t'Nothing'"
complete -c taru -n "__fish_taru_using_subcommand load" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand load" -s q -l quiet -d 'Show no progress'
complete -c taru -n "__fish_taru_using_subcommand load" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand login" -s u -l username -d 'Log in as this user' -r
complete -c taru -n "__fish_taru_using_subcommand login" -s p -l password -d 'Use this password; others can see it in the list of processes, so rather use --password-stdin' -r
complete -c taru -n "__fish_taru_using_subcommand login" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand login" -l password-stdin -d 'Read the password from standard input'
complete -c taru -n "__fish_taru_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand logout" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand logs" -s n -l tail -d 'Begin with the last NUMBER lines, or `all`' -r
complete -c taru -n "__fish_taru_using_subcommand logs" -l since -d 'Leave out what is older: a duration such as 10m, or a time such as 2026-11-22T00:00:00Z' -r
complete -c taru -n "__fish_taru_using_subcommand logs" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand logs" -s f -l follow -d 'Go on until the container ends'
complete -c taru -n "__fish_taru_using_subcommand logs" -s t -l timestamps -d 'Begin each line with when it was read'
complete -c taru -n "__fish_taru_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "add" -d 'Make a network namespace and give it a name'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "attach" -d 'Give a name to a network namespace that exists'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "delete" -d 'Take names away; a namespace ends once nobody is in it'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "del" -d 'Take names away; a namespace ends once nobody is in it'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "exec" -d 'Run a program in a network namespace'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "identify" -d 'Show the names of a process\'s network namespace'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "list" -d 'List the names'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "ls" -d 'List the names'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "list-id" -d 'List the ids by which this network namespace knows others'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "monitor" -d 'Tell of names as they are given and taken away, until interrupted'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "pids" -d 'Show the processes in a network namespace'
complete -c taru -n "__fish_taru_using_subcommand netns; and not __fish_seen_subcommand_from add attach delete del exec identify list ls list-id monitor pids set" -f -a "set" -d 'Give a network namespace the id by which this one knows it'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from add" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from add" -l no-loopback -d 'Leave the loopback link down, as ip-netns(8) does'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from attach" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from delete" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from delete" -l all -d 'All names'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from del" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from del" -l all -d 'All names'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from del" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from exec" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from identify" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from identify" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from identify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from list" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from list" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from ls" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from ls" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from list-id" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from list-id" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from list-id" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from monitor" -l format -d 'Print as lines of text or as one JSON document a line' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from monitor" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from monitor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from pids" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from pids" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from pids" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from set" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand netns; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand ps" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand ps" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand ps" -s a -l all -d 'List those that ended too'
complete -c taru -n "__fish_taru_using_subcommand ps" -s q -l quiet -d 'Print ids only, one a line'
complete -c taru -n "__fish_taru_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand pull" -l platform -d 'Fetch for this platform in place of this host\'s' -r
complete -c taru -n "__fish_taru_using_subcommand pull" -l progress -d 'Choose how progress is shown' -r -f -a "auto\t'Bars on a terminal, lines elsewhere'
tty\t'Bars'
plain\t'A line for each finished step'
quiet\t'Nothing'"
complete -c taru -n "__fish_taru_using_subcommand pull" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand pull" -s q -l quiet -d 'Show no progress'
complete -c taru -n "__fish_taru_using_subcommand pull" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand push" -l progress -d 'Choose how progress is shown' -r -f -a "auto\t'Bars on a terminal, lines elsewhere'
tty\t'Bars'
plain\t'A line for each finished step'
quiet\t'Nothing'"
complete -c taru -n "__fish_taru_using_subcommand push" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand push" -s q -l quiet -d 'Show no progress'
complete -c taru -n "__fish_taru_using_subcommand push" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand rm" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand rm" -s f -l force -d 'Kill those that run'
complete -c taru -n "__fish_taru_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand rmi" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand rmi" -s f -l force -d 'Remove an image that has several names, or that a container uses: that one goes on'
complete -c taru -n "__fish_taru_using_subcommand rmi" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand run" -l rootfs -d 'Use the directory DIR as the root' -r -F
complete -c taru -n "__fish_taru_using_subcommand run" -l rw -d 'Let the program change PATH of the host; behind --rootfs without a PATH, that directory itself' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l ro -d 'Show PATH of the host, read-only' -r
complete -c taru -n "__fish_taru_using_subcommand run" -s v -l bind -l volume -d 'Show SRC of the host at DST, writable unless :ro follows' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l pull -d 'Choose when an image is fetched [default: missing]' -r -f -a "always\t'Before every run'
missing\t'If the store has none of that name'
never\t'Not at all'"
complete -c taru -n "__fish_taru_using_subcommand run" -l platform -d 'Choose the image for this platform, such as linux/arm64' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l entrypoint -d 'Run this program in place of the image\'s; nothing at all if it is empty' -r
complete -c taru -n "__fish_taru_using_subcommand run" -s l -l label -d 'Add words about the container' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l stop-signal -d 'Choose the signal that asks it to end [default: the image\'s, or TERM]' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l log-max-size -d 'Begin a new log file at this size; with --detach [default: 10M]' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l log-max-files -d 'Keep this many log files; with --detach [default: 3]' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l name -d 'Give the container this name' -r
complete -c taru -n "__fish_taru_using_subcommand run" -s u -l user -d 'Run as this user, by name or number' -r
complete -c taru -n "__fish_taru_using_subcommand run" -s w -l workdir -d 'Run in this directory' -r -F
complete -c taru -n "__fish_taru_using_subcommand run" -s e -l env -d 'Set a variable of the environment; without a value, take over taru\'s own' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l env-file -d 'Set the variables that FILE has, one a line; --env counts more' -r -F
complete -c taru -n "__fish_taru_using_subcommand run" -l hostname -d 'Set the host name' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l net -l network -d 'Choose the network' -r -f -a "none\t'Its own, with a loopback device and nothing else'
host\t'The host\'s'"
complete -c taru -n "__fish_taru_using_subcommand run" -l userns -d 'Choose whose users the container has' -r -f -a "private\t'Its own: root inside is an ordinary user outside'
host\t'The host\'s: root inside is root outside'"
complete -c taru -n "__fish_taru_using_subcommand run" -l cap-add -d 'Add a capability, or ALL' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l cap-drop -d 'Drop a capability, or ALL' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l rlimit -l ulimit -d 'Limit each process, such as nofile=1024:4096' -r
complete -c taru -n "__fish_taru_using_subcommand run" -s m -l memory -d 'Limit memory, such as 512M' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l cpus -d 'Limit processor time to this many CPUs, such as 1.5' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l cpu-shares -d 'Set the share of processor time among siblings; 1024 is normal' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l cpuset -l cpuset-cpus -d 'Choose the CPUs, such as 0-2,5' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l pids -l pids-limit -d 'Limit the number of processes and threads; 0 or -1 for no limit [default: 4096]' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l blkio-weight -d 'Set the share of block I/O among siblings, 10 to 1000' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l device-read-bps -d 'Limit bytes read from a device each second, such as /dev/sda:10M' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l device-write-bps -d 'Limit bytes written to a device each second' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l device-read-iops -d 'Limit reads from a device each second, such as /dev/sda:1000' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l device-write-iops -d 'Limit writes to a device each second' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l health-cmd -d 'Check with this line for the shell whether the container is well; with --detach: in the foreground nobody checks' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l health-interval -d 'Wait so long between two checks [default: 30s]' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l health-timeout -d 'Kill a check after so long, which then failed [default: 30s]' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l health-start-period -d 'Do not count failures so long after the start [default: 0s]' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l health-start-interval -d 'Wait so long between two checks in that time, until one passes [default: 5s]' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l health-retries -d 'Take the container for unhealthy after so many failures in a row [default: 3]' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l cgroup-parent -d 'Make the control group below PATH of each hierarchy' -r
complete -c taru -n "__fish_taru_using_subcommand run" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand run" -l keep -d 'Keep the container, and what it changed in its root, after it ended'
complete -c taru -n "__fish_taru_using_subcommand run" -l rm -d 'Remove the container when it ended; in the foreground that is so in any case, but for --keep'
complete -c taru -n "__fish_taru_using_subcommand run" -s d -l detach -d 'Run in the background and print the container\'s id'
complete -c taru -n "__fish_taru_using_subcommand run" -s t -l tty -d 'Give the program a terminal'
complete -c taru -n "__fish_taru_using_subcommand run" -s i -l interactive -d 'Keep standard input open with --detach; in the foreground it always is'
complete -c taru -n "__fish_taru_using_subcommand run" -l read-only -d 'Make the root read-only'
complete -c taru -n "__fish_taru_using_subcommand run" -l no-healthcheck -d 'Do not check, whatever the image says'
complete -c taru -n "__fish_taru_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand save" -s o -l output -d 'Write to this file or directory, not to standard output' -r -F
complete -c taru -n "__fish_taru_using_subcommand save" -l format -d 'Choose the archive\'s format' -r -f -a "oci\t'Layers and digests as they are in the store, under both OCI\'s and Docker\'s tables of contents'
docker\t'Layers uncompressed, as docker save wrote them first: for readers that decompress nothing'"
complete -c taru -n "__fish_taru_using_subcommand save" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand save" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand search" -l limit -d 'Print at most so many, up to 100' -r
complete -c taru -n "__fish_taru_using_subcommand search" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand search" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand search" -l no-trunc -d 'Print descriptions in full'
complete -c taru -n "__fish_taru_using_subcommand search" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand start" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand stop" -s t -l time -d 'How long to wait before killing: seconds, or a duration such as 500ms or 1m' -r
complete -c taru -n "__fish_taru_using_subcommand stop" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand store; and not __fish_seen_subcommand_from check df gc" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand store; and not __fish_seen_subcommand_from check df gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand store; and not __fish_seen_subcommand_from check df gc" -f -a "check" -d 'Verify every blob and every unpacked file'
complete -c taru -n "__fish_taru_using_subcommand store; and not __fish_seen_subcommand_from check df gc" -f -a "df" -d 'Show how much room images and containers take'
complete -c taru -n "__fish_taru_using_subcommand store; and not __fish_seen_subcommand_from check df gc" -f -a "gc" -d 'Remove what no image, container or build needs any more'
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from check" -l format -d 'Print as lines or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from check" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from check" -l repair -d 'Remove what is broken, and unpack layers again'
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from df" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from df" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from df" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from gc" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from gc" -l builds -d 'Forget what steps of builds came to, and empty their cache mounts, too'
complete -c taru -n "__fish_taru_using_subcommand store; and __fish_seen_subcommand_from gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand tag" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand tag" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand unshare" -s m -l mount -d 'Unshare the mount namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -s u -l uts -d 'Unshare the UTS namespace (host name)' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -s i -l ipc -d 'Unshare the IPC namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -s n -l net -d 'Unshare the network namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -s p -l pid -d 'Unshare the PID namespace; its first process is the program with --fork, else the program\'s first child' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -s U -l user -d 'Unshare the user namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -s C -l cgroup -d 'Unshare the cgroup namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -s T -l time -d 'Unshare the time namespace' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -l map-user -d 'Map the current user to UID, a number or a name (implies --user)' -r
complete -c taru -n "__fish_taru_using_subcommand unshare" -l map-group -d 'Map the current group to GID, a number or a name (implies --user)' -r
complete -c taru -n "__fish_taru_using_subcommand unshare" -l map-users -d 'Map COUNT users from OUTER on to INNER and on, or `auto` (implies --user)' -r
complete -c taru -n "__fish_taru_using_subcommand unshare" -l map-groups -d 'Map COUNT groups from OUTER on to INNER and on, or `auto` (implies --user)' -r
complete -c taru -n "__fish_taru_using_subcommand unshare" -l kill-child -d 'When taru dies, send the program SIGNAL [default: KILL] (implies --fork)' -r
complete -c taru -n "__fish_taru_using_subcommand unshare" -l mount-proc -d 'Mount procfs at DIR [default: /proc] first (implies --mount)' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -l propagation -d 'How mounts travel between the new mount namespace and the old' -r -f -a "slave\t'From the old one to the new'
shared\t'Both ways'
private\t'Not at all'
unchanged\t'As it was'"
complete -c taru -n "__fish_taru_using_subcommand unshare" -l setgroups -d 'Whether setgroups(2) works in the user namespace' -r -f -a "allow\t'It works, as far as the map allows'
deny\t'It fails, for good'"
complete -c taru -n "__fish_taru_using_subcommand unshare" -s R -l root -d 'Run the program with DIR as its root (chroot; see also `taru chroot`)' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -s w -l wd -d 'Change the working directory to DIR' -r -F
complete -c taru -n "__fish_taru_using_subcommand unshare" -s S -l setuid -d 'Set the user id in the namespace' -r
complete -c taru -n "__fish_taru_using_subcommand unshare" -s G -l setgid -d 'Set the group id in the namespace, without further groups' -r
complete -c taru -n "__fish_taru_using_subcommand unshare" -l monotonic -d 'Shift the monotonic clock by SECONDS in the time namespace' -r
complete -c taru -n "__fish_taru_using_subcommand unshare" -l boottime -d 'Shift the boot-time clock by SECONDS in the time namespace' -r
complete -c taru -n "__fish_taru_using_subcommand unshare" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand unshare" -s f -l fork -d 'Fork before the program is run'
complete -c taru -n "__fish_taru_using_subcommand unshare" -s r -l map-root-user -d 'Map the current user and group to root (implies --user)'
complete -c taru -n "__fish_taru_using_subcommand unshare" -s c -l map-current-user -d 'Map the current user and group to themselves (implies --user)'
complete -c taru -n "__fish_taru_using_subcommand unshare" -l map-auto -d 'Map the user\'s subordinate ids of /etc/subuid and /etc/subgid (implies --user)'
complete -c taru -n "__fish_taru_using_subcommand unshare" -l keep-caps -d 'The program keeps the capabilities that the user namespace gives'
complete -c taru -n "__fish_taru_using_subcommand unshare" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand version" -l format -d 'Print as a table or as JSON' -r -f -a "table\t'Columns for people'
json\t'One JSON document for programs'"
complete -c taru -n "__fish_taru_using_subcommand version" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c taru -n "__fish_taru_using_subcommand wait" -l log-level -d 'Say on standard error what is being done, from this level up' -r -f -a "error\t'Errors only'
warn\t'What was done otherwise than asked'
info\t'The main steps'
debug\t'Every step'"
complete -c taru -n "__fish_taru_using_subcommand wait" -s h -l help -d 'Print help (see more with \'--help\')'
