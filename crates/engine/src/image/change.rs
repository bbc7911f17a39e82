//! `--change`: instructions as a Dockerfile has them, for what an image says of how it is run.
//!
//! ```text
//! CMD ["sh", "-l"]     CMD exec app        ENTRYPOINT [...]     SHELL [...]
//! ENV A=1 B="two words"                    LABEL a=1 b=2        ENV A the rest of the line
//! USER www   WORKDIR /srv   VOLUME /data   EXPOSE 80 53/udp 8000-8010   STOPSIGNAL QUIT   ONBUILD ...
//! HEALTHCHECK --interval=5s CMD test -e /ok                             HEALTHCHECK NONE
//! ```
//! Variables are not expanded: there is no build whose they could be.

use std::collections::BTreeMap;
use std::path::PathBuf;

use taru_oci::RunConfig;
use taru_oci::config::{Empty, Healthcheck};
use taru_stdx::{Context, Error, Result, parse};

/// Carries out `instructions` on `config`, in their order.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for what is no instruction, all of them together; `config` is then as it was.
pub fn apply(config: &mut RunConfig, instructions: &[String]) -> Result<()> {
    let mut changed = config.clone();
    let mut problems = Vec::new();
    let mut has_cmd = false;
    for text in instructions {
        let (word, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let word = word.to_ascii_uppercase();
        has_cmd |= word == "CMD";
        // A new entrypoint is not meant for the command of the old one.
        if word == "ENTRYPOINT" && !has_cmd {
            changed.cmd = None;
        }
        let done = one(&mut changed, &word, rest.trim());
        problems.extend(done.context(|| format!("change `{}`", text.escape_debug())).err());
    }
    Error::all(problems).map_or(Ok(()), Err)?;
    *config = changed;
    Ok(())
}

fn one(config: &mut RunConfig, word: &str, rest: &str) -> Result<()> {
    if rest.is_empty() {
        return Err(Error::invalid(format!("nothing stands behind `{}`", word.escape_debug())));
    }
    match word {
        "CMD" => config.cmd = Some(command(config, rest)?),
        "ENTRYPOINT" => config.entrypoint = Some(command(config, rest)?),
        "SHELL" => config.shell = Some(list(rest).ok_or_else(|| bad("a list such as [\"sh\", \"-c\"]"))?),
        "ENV" => {
            let variables = config.env.get_or_insert_default();
            for (name, value) in pairs(rest)? {
                let prefix = format!("{name}=");
                variables.retain(|v| !v.starts_with(&prefix));
                variables.push(prefix + &value);
            }
        }
        "LABEL" => config.labels.get_or_insert_default().extend(pairs(rest)?),
        "USER" => config.user = single(rest)?,
        "WORKDIR" => {
            let old = PathBuf::from("/").join(&config.working_dir);
            config.working_dir = old.join(single(rest)?).display().to_string();
        }
        "VOLUME" => {
            let volumes = list(rest).map_or_else(|| words(rest), Ok)?;
            let new = volumes.into_iter().map(|v| (v, Empty {}));
            config.volumes.get_or_insert_default().extend(new);
        }
        "EXPOSE" => {
            let mut ports = BTreeMap::new();
            for word in words(rest)? {
                ports.extend(expose(&word)?.into_iter().map(|port| (port, Empty {})));
            }
            config.exposed_ports.get_or_insert_default().extend(ports);
        }
        "STOPSIGNAL" => {
            let signal = single(rest)?;
            taru_sys::signal::parse(&signal).ok_or_else(|| bad("a signal"))?;
            config.stop_signal = Some(signal);
        }
        "ONBUILD" => config.on_build.get_or_insert_default().push(rest.to_owned()),
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
        other => {
            return Err(Error::invalid(format!("`{}` is none of the instructions", other.escape_debug())).hint(
                "they are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME and WORKDIR",
            ));
        }
    }
    Ok(())
}

fn bad(wanted: &str) -> Error {
    Error::invalid(format!("it is not {wanted}"))
}

/// A list in JSON, or else words for the shell.
fn command(config: &RunConfig, text: &str) -> Result<Vec<String>> {
    if let Some(words) = list(text) {
        return Ok(words);
    }
    let shell = config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
    Ok(shell.into_iter().chain([text.to_owned()]).collect())
}

fn list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

fn single(text: &str) -> Result<String> {
    match <[String; 1]>::try_from(words(text)?) {
        Ok([word]) => Ok(word),
        Err(_) => Err(bad("a single word")),
    }
}

/// `A=1 B=2`, or `A the rest`.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let words = words(text)?;
    if words.first().is_some_and(|first| !first.contains('=')) {
        let (name, value) = text.split_once(char::is_whitespace).ok_or_else(|| bad("NAME=VALUE"))?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(bad("NAME=VALUE")),
    };
    words.into_iter().map(pair).collect()
}

/// `80`, `53/udp`, `8000-8010/tcp`, as an image has them.
fn expose(text: &str) -> Result<Vec<String>> {
    let wrong = || bad("a port such as 80, 53/udp or 8000-8010");
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    let (first, last) = (number(first)?, number(last)?);
    if first > last || !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn healthcheck(text: &str) -> Result<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, behind) =
            option.split_once(char::is_whitespace).ok_or_else(|| bad("a check: CMD ... or NONE"))?;
        let (name, value) = option.split_once('=').ok_or_else(|| bad("--NAME=VALUE"))?;
        let nanoseconds = || parse::duration(value).map(|d| u64::try_from(d.as_nanos()).ok());
        match name {
            "interval" => check.interval = nanoseconds()?,
            "timeout" => check.timeout = nanoseconds()?,
            "start-period" => check.start_period = nanoseconds()?,
            "start-interval" => check.start_interval = nanoseconds()?,
            "retries" => check.retries = Some(value.parse().map_err(|_| bad("a number of retries"))?),
            _ => return Err(bad("--interval, --timeout, --start-period, --start-interval or --retries")),
        }
        rest = behind.trim_start();
    }
    let (word, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match (word.to_ascii_uppercase().as_str(), command.trim()) {
        ("NONE", "") => vec!["NONE".to_owned()],
        ("CMD", command) if !command.is_empty() => match list(command) {
            Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        _ => return Err(bad("a check: CMD ... or NONE")),
    };
    Ok(check)
}

/// Words, as a shell cuts them: quotes and backslashes keep blanks together.
fn words(text: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Error::invalid("a quote that is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(instructions: &[&str]) -> Result<RunConfig> {
        let mut config = RunConfig::default();
        let instructions: Vec<String> = instructions.iter().map(|i| (*i).to_owned()).collect();
        apply(&mut config, &instructions).map(|()| config)
    }

    #[test]
    fn instructions_are_those_of_a_dockerfile() {
        let config = changed(&[
            r#"CMD ["a", "b c"]"#,
            "entrypoint exec x",
            r#"ENV A=1 B="two words" C=it\'s"#,
            "ENV A the rest",
            "LABEL a=1 b='2 3'",
            "USER www",
            "WORKDIR /srv",
            "WORKDIR www",
            r#"VOLUME ["/data"]"#,
            "VOLUME /a /b",
            "EXPOSE 80 53/udp 8000-8001",
            "STOPSIGNAL SIGQUIT",
            r#"SHELL ["bash", "-c"]"#,
            "HEALTHCHECK --interval=5s --retries=2 CMD test -e /ok",
        ])
        .unwrap();
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(config.cmd, Some(strings(&["a", "b c"])));
        assert_eq!(config.entrypoint, Some(strings(&["/bin/sh", "-c", "exec x"])));
        assert_eq!(config.env, Some(strings(&["B=two words", "C=it's", "A=the rest"])));
        assert_eq!(
            config.labels.unwrap().into_iter().map(|(k, v)| k + &v).collect::<Vec<_>>(),
            ["a1", "b2 3"]
        );
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("www", "/srv/www"));
        assert_eq!(config.volumes.unwrap().into_keys().collect::<Vec<_>>(), ["/a", "/b", "/data"]);
        assert_eq!(
            config.exposed_ports.unwrap().into_keys().collect::<Vec<_>>(),
            ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"]
        );
        assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
        let check = config.healthcheck.unwrap();
        assert_eq!((check.interval, check.retries), (Some(5_000_000_000), Some(2)));
        assert_eq!(check.test, ["CMD-SHELL", "test -e /ok"]);
    }

    #[test]
    fn a_new_entrypoint_takes_the_old_command_away() {
        let mut config = RunConfig { cmd: Some(vec!["old".into()]), ..RunConfig::default() };
        apply(&mut config, &["ENTRYPOINT [\"x\"]".into()]).unwrap();
        assert_eq!(config.cmd, None);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = [
            "FROM x",
            "CMD",
            "ENV =x",
            "ENV A",
            "EXPOSE 0",
            "EXPOSE 5-4",
            "EXPOSE 80/icmp",
            "USER a b",
            "LABEL 'a=1",
            "SHELL sh",
            "STOPSIGNAL HUUP",
            "HEALTHCHECK --every=1s CMD x",
            "HEALTHCHECK CMD",
            "",
        ];
        for text in wrong {
            assert_eq!(changed(&[text]).unwrap_err().kind(), taru_stdx::Kind::Invalid, "{text}");
        }
        let both = changed(&["FROM x", "EXPOSE 0"]).unwrap_err().chain().to_string();
        assert!(both.contains("FROM") && both.contains("EXPOSE"), "{both}");
    }
}
