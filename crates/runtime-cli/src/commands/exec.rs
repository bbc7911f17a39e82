//! `exec`: a further process in a container.

use std::path::{Path, PathBuf};

use clap::Args;
use taru_runtime::exec::{self, Request, Target};
use taru_runtime::seal;
use taru_runtime::spec::{CONFIG_LIMIT, Capabilities, Process, User};
use taru_stdx::{Context, Error, Kind, Result, parse};

use crate::commands::Verb;
use crate::commands::create::{listen_fds, status};
use crate::input;
use crate::settings::Settings;

/// Execute a program in a running container
///
/// What is not said is as in the container's own process: environment, directory, user, capabilities; but it has
/// a terminal only with --tty. The exit status is that of the program, or 128 and the number of the signal that ended it; 255 says that it
/// could not be executed.
#[derive(Debug, Args)]
#[command(override_usage = "taru-runtime exec [OPTIONS] <ID> <COMMAND>...\n       \
                            taru-runtime exec [OPTIONS] --process <FILE> <ID>")]
#[command(after_help = "\
Examples:
  taru-runtime exec web ps -ef
  taru-runtime exec --tty --env LANG=C --user 1000:1000 web sh
  taru-runtime exec --process process.json web")]
pub(crate) struct Exec {
    /// The container
    id: String,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Take the whole process from FILE, as in config.json; - is standard input
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Run it as this user and group, by number
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Add a supplementary group, by number
    #[arg(short = 'g', long, value_name = "GID", value_delimiter = ',')]
    additional_gids: Vec<String>,
    /// Its working directory in the container
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Set a variable of its environment
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Add a capability
    #[arg(short, long, value_name = "CAP")]
    cap: Vec<String>,
    /// Its AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// Its SELinux label
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// Let it gain no rights by executing a program
    #[arg(long)]
    no_new_privs: bool,
    /// Put it into an existing group below the container's, of one controller or of all
    #[arg(long, value_name = "[CONTROLLER:]PATH")]
    cgroup: Vec<String>,
    /// Allow it in a paused container: it runs once the container is resumed
    #[arg(long)]
    ignore_paused: bool,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    /// Write its pid to FILE
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Send the terminal's master side to the AF_UNIX socket PATH
    #[arg(long, value_name = "PATH")]
    console_socket: Option<PathBuf>,
    /// Send a pidfd of it to the AF_UNIX socket PATH
    #[arg(long, value_name = "PATH")]
    pidfd_socket: Option<PathBuf>,
    /// Hand N more descriptors to it, from 3 on (behind those of LISTEN_FDS)
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
}

impl Verb for Exec {
    fn run(self, settings: &Settings) -> Result<u8> {
        let store = settings.store()?;
        let target = Target::load(&store, &self.id)?;
        let process = self.to_process(&target)?;
        let listen_fds = listen_fds();
        let preserve_fds = self.preserve_fds.saturating_add(listen_fds);
        seal::keep_descriptors(preserve_fds)?;
        let outcome = exec::exec(&Request {
            store: &store,
            target: &target,
            process: &process,
            sub_groups: &self.cgroup.iter().flat_map(|text| sub_groups(text)).collect::<Vec<_>>(),
            detach: self.detach,
            ignore_paused: self.ignore_paused,
            console_socket: self.console_socket.as_deref(),
            pid_file: self.pid_file.as_deref(),
            pidfd_socket: self.pidfd_socket.as_deref(),
            preserve_fds,
            listen_fds,
        })?;
        settings.warn(&outcome.warnings);
        Ok(outcome.exit.map_or(0, status))
    }
}

impl Exec {
    /// The process: the file's or the container's own, with what the options say.
    fn to_process(&self, target: &Target) -> Result<Process> {
        let mut process = match &self.process {
            Some(_) if !self.command.is_empty() => {
                return Err(Error::invalid(
                    "execute a program: it is named twice, by --process and by a command",
                ));
            }
            Some(file) => read(file)?,
            None if self.command.is_empty() => {
                return Err(Error::invalid("execute a program: none is named")
                    .hint("taru-runtime exec ID COMMAND..., or --process FILE"));
            }
            None => self.like_the_containers(target)?,
        };
        if self.tty {
            process.terminal = true;
        }
        if let Some(cwd) = &self.cwd {
            process.cwd.clone_from(cwd);
        }
        process.env.extend(self.env.iter().cloned());
        if let Some(user) = &self.user {
            name_user(user, &mut process.user).context(|| format!("read --user `{user}`"))?;
        }
        for gid in &self.additional_gids {
            process.user.additional_gids.push(parse::id(gid).context(|| "read --additional-gids")?);
        }
        if !self.cap.is_empty() {
            add(&self.cap, process.capabilities.get_or_insert_default());
        }
        if let Some(profile) = &self.apparmor {
            process.apparmor_profile.clone_from(profile);
        }
        if let Some(label) = &self.process_label {
            process.selinux_label.clone_from(label);
        }
        process.no_new_privileges |= self.no_new_privs;
        Ok(process)
    }

    fn like_the_containers(&self, target: &Target) -> Result<Process> {
        let own = target.process().cloned().ok_or_else(|| {
            Error::new(
                Kind::State,
                format!("execute a program: container `{}` has no process to be like", self.id),
            )
            .hint("name all of it with --process FILE")
        })?;
        Ok(Process { args: self.command.clone(), terminal: false, ..own })
    }
}

/// A process as in config.json.
fn read(file: &Path) -> Result<Process> {
    let text = input::read(file, CONFIG_LIMIT)?;
    serde_json::from_slice(&text)
        .context_as(Kind::Invalid, || format!("parse the process in `{}`", file.display()))
}

/// `PATH`, or `CONTROLLER,..:PATH`. An empty controller means all.
fn sub_groups(text: &str) -> Vec<(String, PathBuf)> {
    let (controllers, path) = text.split_once(':').unwrap_or(("", text));
    controllers.split(',').map(|controller| (controller.to_owned(), path.into())).collect()
}

/// `UID` or `UID:GID`. Numbers only: names are the container's, and not ours to look up.
fn name_user(text: &str, user: &mut User) -> Result<()> {
    let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    user.uid = parse::id(uid)?;
    if let Some(gid) = gid {
        user.gid = parse::id(gid)?;
    }
    Ok(())
}

/// Adds `names` to the sets that let a capability be used, and where the process hands some on over execve(2),
/// to those sets as well.
fn add(names: &[String], sets: &mut Capabilities) {
    let hands_on = !sets.inheritable.is_empty();
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        set.extend(names.iter().cloned());
    }
    if hands_on {
        sets.inheritable.extend(names.iter().cloned());
        sets.ambient.extend(names.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_and_a_group_is_kept_unless_named() {
        let mut user = User { uid: 7, gid: 8, ..User::default() };
        name_user("1000", &mut user).unwrap();
        assert_eq!((user.uid, user.gid), (1000, 8));
        name_user("1:2", &mut user).unwrap();
        assert_eq!((user.uid, user.gid), (1, 2));
        for bad in ["", "root", "1:", ":1", "-1", "4294967295", "1:2:3", " 1"] {
            assert!(name_user(bad, &mut user).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sub_group_is_of_some_controllers_or_all() {
        assert_eq!(sub_groups("a/b"), [(String::new(), "a/b".into())]);
        assert_eq!(sub_groups("cpu,memory:x"), [("cpu".into(), "x".into()), ("memory".into(), "x".into())]);
    }

    #[test]
    fn a_capability_is_handed_on_only_where_others_are() {
        let mut sets = Capabilities { bounding: vec!["CAP_KILL".into()], ..Capabilities::default() };
        add(&["CAP_CHOWN".into()], &mut sets);
        assert_eq!((sets.bounding.len(), sets.effective.len(), sets.ambient.len()), (2, 1, 0));
        sets.inheritable = vec!["CAP_KILL".into()];
        add(&["CAP_FOWNER".into()], &mut sets);
        assert_eq!((sets.inheritable.len(), sets.ambient.len()), (2, 1));
    }
}
