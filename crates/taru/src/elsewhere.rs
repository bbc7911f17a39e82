//! Verbs and options that people know from docker, podman, LXC and util-linux, and what is the same here.

/// What there is in place of `word`, which is no verb and no option before a verb.
pub(crate) fn verb(word: &str) -> Option<&'static str> {
    VERBS.iter().find(|(theirs, _)| *theirs == word).map(|(_, here)| *here)
}

/// What there is in place of `option`, which the verb `verb` has none of.
pub(crate) fn option(verb: &str, option: &str) -> Option<&'static str> {
    let is_meant = |(of, theirs, _): &&(&str, &[&str], &str)| *of == verb && theirs.contains(&option);
    OPTIONS.iter().find(is_meant).map(|(_, _, here)| *here)
}

const VERBS: &[(&str, &str)] = &[
    ("-v", "`taru --version` prints the version"),
    ("builder", "`taru store gc --builds` forgets what builds keep"),
    ("container", "verbs for containers need no further word: `taru ps`, `taru rm`"),
    ("df", "`taru store df` shows what takes how much room"),
    ("gc", "`taru store gc` removes what nothing needs"),
    ("info", "`taru check` tells what this host can do, `taru version` the versions"),
    ("list", "`taru ps` lists containers, `taru images` lists images"),
    ("ls", "`taru ps` lists containers, `taru images` lists images"),
    ("mount", "`taru image mount` shows the files of an image"),
    ("nsenter", "`taru enter` has nsenter's options"),
    ("prune", "`taru image prune` removes images, `taru store gc` what nothing needs"),
    ("restart", "`taru stop NAME && taru start NAME` does it"),
    ("shell", "`taru exec -t NAME sh` runs one in a container"),
    ("system", "`taru store df` and `taru store gc` see to the room that is taken"),
    ("top", "`taru exec NAME ps` does it, if the container has a ps"),
    ("umount", "`taru image unmount` takes a mounted image away"),
];

const OPTIONS: &[(&str, &[&str], &str)] = &[
    ("build", &["--push"], "`taru push NAME` does it afterwards"),
    (
        "build",
        &["--load"],
        "what is built is in taru's own store; `--output type=docker,dest=FILE` makes docker's archive of it",
    ),
    ("build", &["--rm", "--force-rm"], "containers of steps are always removed"),
    ("exec", &["--privileged"], "capabilities are the container's: `taru run --cap-add CAP`"),
    (
        "run",
        &["-p", "--publish", "-P", "--publish-all"],
        "`--net host` has the program listen on the host's own addresses; no ports are published yet",
    ),
    (
        "run",
        &["--add-host", "--dns", "--dns-search", "--ip", "--link", "--mac-address", "--network-alias"],
        "a container has the host's network (`--net host`) or none yet",
    ),
    ("run", &["--mount"], "`--bind SRC:DST[:ro]` shows a file or a directory of the host"),
    (
        "run",
        &["--tmpfs"],
        "what a program writes is thrown away with its container; `--bind SRC:DST` is for what stays",
    ),
    ("run", &["--device", "--gpus"], "a container gets no devices of the host yet"),
    (
        "run",
        &["--privileged"],
        "`--cap-add ALL --userns host` gives the capabilities of the host's root, and no devices",
    ),
    (
        "run",
        &["--security-opt"],
        "the filter of system calls and no_new_privs are always there; `--cap-add` and `--cap-drop` choose capabilities",
    ),
    ("run", &["--restart"], "nobody starts it again but `taru start NAME`"),
    ("run", &["--init"], "the program is process 1: what its children leave is for it to reap"),
    (
        "run",
        &["--log-driver", "--log-opt"],
        "a container in the background logs to files: `--log-max-size`, `--log-max-files`",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn what_is_here_needs_no_translation() {
        let whole = cli::command();
        let verbs: Vec<&str> = whole.get_subcommands().map(clap::Command::get_name).collect();
        let known = VERBS.iter().filter(|(word, _)| verbs.contains(word));
        assert_eq!(known.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
        for (verb, options, _) in OPTIONS {
            let verb = whole.find_subcommand(verb).expect("a verb");
            let longs = verb.get_arguments().filter_map(clap::Arg::get_long_and_visible_aliases).flatten();
            let shorts = verb.get_arguments().filter_map(clap::Arg::get_short);
            let ours: Vec<String> = longs
                .map(|name| format!("--{name}"))
                .chain(shorts.map(|letter| format!("-{letter}")))
                .collect();
            let known: Vec<_> = options.iter().filter(|option| ours.iter().any(|o| o == *option)).collect();
            assert_eq!(known, Vec::<&&str>::new(), "{}", verb.get_name());
        }
    }
}
