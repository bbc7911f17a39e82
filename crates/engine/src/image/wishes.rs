//! What an image says of how it is run, under what whoever runs it says.
//!
//! The rules are Docker's, which every image was written for: an entrypoint that is given replaces the image's
//! and its command; a command that is given replaces the image's; variables are added to the image's.

use std::path::PathBuf;

use taru_oci::{Image, RunConfig};
use taru_stdx::{Error, Result};

use crate::config::ContainerConfig;
use crate::health;

/// What was asked for, where it makes a difference whether it was.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// In place of the image's entrypoint and command; empty for none at all.
    pub entrypoint: Option<Vec<String>>,
    /// The working directory.
    pub workdir: Option<PathBuf>,
    /// How to find out whether it is well.
    pub health: health::Wish,
}

/// Fills in of `config` what was left open, from `image`. What `config` has stays: its arguments are the command.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] if nobody names a program, or for a text of the image that cannot be used.
pub fn apply(config: &mut ContainerConfig, image: &Image, wishes: &Wishes, name: &str) -> Result<()> {
    let defaults = RunConfig::default();
    let from = image.config.as_ref().unwrap_or(&defaults);
    config.args = args(std::mem::take(&mut config.args), from, wishes);
    if config.args.is_empty() {
        return Err(Error::invalid(format!("run `{name}`: the image names no program"))
            .hint(format!("name one: taru run {name} COMMAND")));
    }
    let mut env = from.env.clone().unwrap_or_default();
    // A variable without a name or value means nothing to anybody.
    env.retain(|e| e.split_once('=').is_some_and(|(name, _)| !name.is_empty()));
    for variable in std::mem::take(&mut config.env) {
        let name = variable.split('=').next().unwrap_or_default();
        env.retain(|e| e.split('=').next() != Some(name));
        env.push(variable);
    }
    config.env = env;
    config.workdir = match (&wishes.workdir, from.working_dir.as_str()) {
        (Some(dir), _) => dir.clone(),
        (None, "") => "/".into(),
        (None, dir) => PathBuf::from("/").join(dir),
    };
    if config.user.is_none() && !from.user.is_empty() {
        config.user = Some(from.user.clone());
    }
    if config.stop_signal.is_none() {
        config.stop_signal.clone_from(&from.stop_signal);
    }
    let shell = from.shell.as_deref();
    // An image's check that cannot be understood can still be left out.
    let of_image = match (&from.healthcheck, wishes.health.disabled) {
        (Some(check), false) => health::of_image(check, shell)?,
        _ => None,
    };
    config.health = health::chosen(&wishes.health, of_image, shell)?;
    let labels = from.labels.clone().unwrap_or_default();
    // Words of taru's own are not an image's to say.
    for (name, value) in labels.into_iter().filter(|(name, _)| !name.starts_with("io.taru.")) {
        config.labels.entry(name).or_insert(value);
    }
    for volume in from.volumes.iter().flatten().map(|(path, _)| PathBuf::from("/").join(path)) {
        let is_bound = config.binds.iter().any(|b| b.destination == volume);
        if !is_bound && !config.volumes.contains(&volume) {
            config.volumes.push(volume);
        }
    }
    check(config, name)
}

fn args(command: Vec<String>, from: &RunConfig, wishes: &Wishes) -> Vec<String> {
    let (mut args, default) = match &wishes.entrypoint {
        Some(entrypoint) => (entrypoint.clone(), Vec::new()),
        None => (from.entrypoint.clone().unwrap_or_default(), from.cmd.clone().unwrap_or_default()),
    };
    args.extend(if command.is_empty() { default } else { command });
    args
}

/// An image is a stranger's word: what cannot be an argument or a path is refused here, with its name.
fn check(config: &ContainerConfig, name: &str) -> Result<()> {
    let mut problems = Vec::new();
    let mut texts: Vec<(&str, &str)> = config.args.iter().map(|a| ("argument", a.as_str())).collect();
    texts.extend(config.env.iter().map(|e| ("variable", e.as_str())));
    texts.extend(config.user.iter().map(|u| ("user", u.as_str())));
    for (what, text) in texts.iter().filter(|(_, text)| text.contains('\0')) {
        problems.push(Error::invalid(format!("run `{name}`: a NUL in the {what} `{}`", text.escape_debug())));
    }
    for path in config.volumes.iter().chain([&config.workdir]) {
        let is_plain = path.components().all(|c| !matches!(c, std::path::Component::ParentDir));
        if !is_plain || path.as_os_str().as_encoded_bytes().iter().any(|b| b.is_ascii_control()) {
            let text = path.display().to_string();
            problems.push(Error::invalid(format!("run `{name}`: the path `{}`", text.escape_debug())));
        }
    }
    Error::all(problems).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> ContainerConfig {
        let text = format!(
            r#"{{"version":2,"root":"host","read_only":false,"keep":false,"remove":false,"args":{},"env":["A=mine"],
            "workdir":"/","user":null,"hostname":null,"tty":false,"interactive":false,"binds":[],"net":"none",
            "userns":"private","cap_add":[],"cap_drop":[],"rlimits":[],"limits":{{}},"cgroup_parent":"/taru"}}"#,
            serde_json::to_string(args).unwrap()
        );
        serde_json::from_str(&text).unwrap()
    }

    fn image(config: &str) -> Image {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}},"config":{config}}}"#
        );
        Image::parse(text.as_bytes()).unwrap()
    }

    fn words(given: &[&str], wishes: &Wishes, image: &Image) -> Vec<String> {
        let mut config = config(given);
        apply(&mut config, image, wishes, "x").map(|()| config.args).unwrap_or_default()
    }

    #[test]
    fn entrypoint_and_command_are_dockers() {
        let both = image(r#"{"Entrypoint":["e","1"],"Cmd":["c"]}"#);
        let entry = |words: &[&str]| Wishes {
            entrypoint: Some(words.iter().map(|w| (*w).to_owned()).collect()),
            ..Wishes::default()
        };
        let none = Wishes::default();
        assert_eq!(words(&[], &none, &both), ["e", "1", "c"]);
        assert_eq!(words(&["mine"], &none, &both), ["e", "1", "mine"]);
        assert_eq!(words(&[], &entry(&["new"]), &both), ["new"]);
        assert_eq!(words(&["mine"], &entry(&["new"]), &both), ["new", "mine"]);
        assert_eq!(words(&["mine"], &entry(&[]), &both), ["mine"]);
        assert!(words(&[], &entry(&[]), &both).is_empty());
        assert!(words(&[], &none, &image("{}")).is_empty());
        assert!(words(&[], &none, &image("null")).is_empty());
    }

    #[test]
    fn the_rest_is_filled_in_where_it_was_left_open() {
        let image = image(
            r#"{"Cmd":["c"],"Env":["A=image","B=2","=x","C"],"WorkingDir":"srv","User":"www","StopSignal":"SIGQUIT",
                "Volumes":{"/data":{},"/bound":{}},"Labels":{"a":"1","b":"2"}}"#,
        );
        let mut config = config(&[]);
        config.labels.insert("a".into(), "mine".into());
        config.binds.push(crate::config::Bind {
            source: "/x".into(),
            destination: "/bound".into(),
            writable: true,
        });
        apply(&mut config, &image, &Wishes::default(), "x").unwrap();
        assert_eq!(config.env, ["B=2", "A=mine"]);
        assert_eq!(config.workdir, PathBuf::from("/srv"));
        assert_eq!(config.user.as_deref(), Some("www"));
        assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
        assert_eq!(config.volumes, [PathBuf::from("/data")]);
        assert_eq!((config.labels["a"].as_str(), config.labels["b"].as_str()), ("mine", "2"));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for bad in [
            r#"{"Cmd":["a\u0000b"]}"#,
            r#"{"Cmd":["c"],"WorkingDir":"/../x"}"#,
            r#"{"Cmd":["c"],"Volumes":{"a\n":{}}}"#,
        ] {
            assert!(apply(&mut config(&[]), &image(bad), &Wishes::default(), "x").is_err(), "{bad}");
        }
    }
}
