//! Instructions that make no layer: each says something of the image, and is remembered.

use taru_oci::config::{Empty, Healthcheck};
use taru_stdx::{Error, Result};

use super::state::State;
use crate::dockerfile::Command;

pub(super) fn label(state: &mut State<'_>, pairs: &[(String, String)]) -> Result<()> {
    let mut text = "LABEL".to_owned();
    for (key, value) in pairs {
        let (key, value) = (state.expand(key)?, state.expand(value)?);
        text.push_str(&format!(" {key}={value}"));
        state.config.labels.get_or_insert_default().insert(key, value);
    }
    state.remember(text, false);
    Ok(())
}

pub(super) fn expose(state: &mut State<'_>, ports: &[String]) -> Result<()> {
    let mut all = Vec::new();
    for port in ports {
        for word in state.expand_words(port)? {
            all.extend(ports_of(&word)?);
        }
    }
    state.remember(format!("EXPOSE [{}]", all.join(" ")), false);
    state.config.exposed_ports.get_or_insert_default().extend(all.into_iter().map(|p| (p, Empty {})));
    Ok(())
}

pub(super) fn volume(state: &mut State<'_>, paths: &[String]) -> Result<()> {
    let paths = state.expand_all(paths)?;
    if paths.iter().any(String::is_empty) {
        return Err(Error::invalid("VOLUME: an empty path"));
    }
    state.remember(format!("VOLUME [{}]", paths.join(" ")), false);
    state.config.volumes.get_or_insert_default().extend(paths.into_iter().map(|p| (p, Empty {})));
    Ok(())
}

pub(super) fn user(state: &mut State<'_>, user: &str) -> Result<()> {
    let user = state.expand(user)?;
    if user.is_empty() {
        return Err(Error::invalid("USER: it is empty"));
    }
    state.remember(format!("USER {user}"), false);
    state.config.user = user;
    Ok(())
}

pub(super) fn stop_signal(state: &mut State<'_>, signal: &str) -> Result<()> {
    let signal = state.expand(signal)?;
    if !is_signal(&signal) {
        return Err(Error::invalid(format!("STOPSIGNAL: no signal `{signal}`"))
            .hint("SIGTERM, or a number from 1 to 64"));
    }
    state.remember(format!("STOPSIGNAL {signal}"), false);
    state.config.stop_signal = Some(signal);
    Ok(())
}

pub(super) fn cmd(state: &mut State<'_>, command: &Command) {
    let words = state.words(command);
    state.remember(format!("CMD {}", quoted(&words)), false);
    state.config.cmd = Some(words);
    state.config.args_escaped = Some(true);
    state.has_cmd = true;
}

pub(super) fn entrypoint(state: &mut State<'_>, command: &Command) {
    let words = state.words(command);
    state.remember(format!("ENTRYPOINT {}", quoted(&words)), false);
    state.config.entrypoint = Some(words);
    // The CMD of the base was for the base's own entrypoint.
    if !state.has_cmd {
        state.config.cmd = None;
    }
}

pub(super) fn shell(state: &mut State<'_>, words: &[String]) {
    state.remember(format!("SHELL [{}]", words.join(" ")), false);
    state.config.shell = Some(words.to_owned());
}

pub(super) fn health_check(state: &mut State<'_>, check: &Healthcheck) {
    state.remember(format!("HEALTHCHECK {}", quoted(&check.test)), false);
    state.config.healthcheck = Some(check.clone());
}

/// A trigger is no history of this image: it is of those built on it.
pub(super) fn on_build(state: &mut State<'_>, text: &str) {
    state.config.on_build.get_or_insert_default().push(text.to_owned());
}

pub(super) fn maintainer(state: &mut State<'_>, who: &str) {
    state.remember(format!("MAINTAINER {who}"), false);
    state.image.author = Some(who.to_owned());
}

/// Words as Go's `%q` prints a list: `["a" "b"]`.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|w| serde_json::Value::String(w.clone()).to_string()).collect();
    format!("[{}]", words.join(" "))
}

/// The ports that `80`, `80/udp`, `8000-8002/tcp` or `HOST:CONTAINER` expose.
fn ports_of(text: &str) -> Result<Vec<String>> {
    let bad = || {
        Error::invalid(format!("EXPOSE: no port `{text}`"))
            .hint("80, 80/udp, 8000-8010, each from 1 to 65535")
    };
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(bad());
    }
    // What stands before the last colon is the host's, which no image decides.
    let range = range.rsplit(':').next().unwrap_or(range);
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().filter(|n| *n != 0).ok_or_else(bad);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(bad());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    const NAMES: &[&str] = &[
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "IOT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "POLL", "PWR", "SYS", "RTMIN", "RTMAX",
    ];
    let offset = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
    NAMES.contains(&name) || offset.is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n <= 30))
}
