//! What a container is asked to be checked with, to find out whether it is well.
//!
//! The words and defaults are Docker's (`HEALTHCHECK` of a Dockerfile, `--health-*` of its `run`); the rules of
//! judging are at the top of `taru_supervise::health`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use taru_oci::config::Healthcheck;
use taru_stdx::{Error, Result};

/// What the shell form of a check is run with, where the image names no other.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The shortest time there is, as in Docker: a shorter one is a mistake of the unit.
const SHORTEST: Duration = Duration::from_millis(1);

/// Longer than any container runs; clocks can count no further than they can.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// How to find out whether a container is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The program that is executed in the container, and its arguments.
    pub command: Vec<String>,
    /// Between the end of a check and the next.
    #[serde(with = "nanoseconds")]
    pub interval: Duration,
    /// How long one may take.
    #[serde(with = "nanoseconds")]
    pub timeout: Duration,
    /// How long after the start failures do not count.
    #[serde(with = "nanoseconds")]
    pub start_period: Duration,
    /// The interval in that time, until a check passes.
    #[serde(with = "nanoseconds")]
    pub start_interval: Duration,
    /// How many failures in a row make the container unhealthy.
    pub retries: u32,
}

impl Health {
    /// A check by `command`, with Docker's times.
    pub fn new(command: Vec<String>) -> Health {
        Health {
            command,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            start_period: Duration::ZERO,
            start_interval: Duration::from_secs(5),
            retries: 3,
        }
    }

    /// The options that tell `taru-runtime supervise` of it.
    pub fn options(&self) -> Vec<String> {
        let mut words = Vec::new();
        for word in &self.command {
            words.push(format!("--health-cmd={word}"));
        }
        for (name, time) in [
            ("interval", self.interval),
            ("timeout", self.timeout),
            ("start-period", self.start_period),
            ("start-interval", self.start_interval),
        ] {
            words.push(format!("--health-{name}={}us", time.as_micros()));
        }
        words.push(format!("--health-retries={}", self.retries));
        words
    }
}

/// What was asked for beside an image's own check, or without one; `None` is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// No check, whatever the image says.
    pub disabled: bool,
    /// A line for the shell.
    pub command: Option<String>,
    /// See [`Health`].
    pub interval: Option<Duration>,
    /// See [`Health`].
    pub timeout: Option<Duration>,
    /// See [`Health`].
    pub start_period: Option<Duration>,
    /// See [`Health`].
    pub start_interval: Option<Duration>,
    /// See [`Health`].
    pub retries: Option<u32>,
}

/// An image's own check; `None` if it has none. `shell` is the image's `SHELL`.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for a test of no known form, or for a time that cannot be meant.
pub fn of_image(check: &Healthcheck, shell: Option<&[String]>) -> Result<Option<Health>> {
    let words = check.test.iter().map(String::as_str).collect::<Vec<_>>();
    let command = match words.as_slice() {
        [] | ["NONE"] => return Ok(None),
        ["CMD", command @ ..] if !command.is_empty() => command.iter().map(|&w| w.to_owned()).collect(),
        ["CMD-SHELL", line @ ..] if !line.is_empty() => in_shell(line, shell),
        other => {
            return Err(Error::invalid(format!("read the image's health check `{}`", other.join(" "))).hint(
                "it is CMD and a program, CMD-SHELL and a line, or NONE; --no-healthcheck leaves it out",
            ));
        }
    };
    // In an image 0 means that nothing is said.
    let time = |value: Option<u64>| value.filter(|&v| v > 0).map(Duration::from_nanos);
    let wish = Wish {
        interval: time(check.interval),
        timeout: time(check.timeout),
        start_period: time(check.start_period),
        start_interval: time(check.start_interval),
        retries: check.retries.filter(|&n| n > 0).map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
        ..Wish::default()
    };
    apply(&wish, Health::new(command)).map(Some)
}

/// What is asked for, over an image's own check (`None` without one, or without an image). `shell` is the image's `SHELL`.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for a time that cannot be meant, or for times of a check that does not exist.
pub fn chosen(wish: &Wish, image: Option<Health>, shell: Option<&[String]>) -> Result<Option<Health>> {
    if wish.disabled {
        return Ok(None);
    }
    let base = match &wish.command {
        // The image's times stay with another command, as in Docker.
        Some(line) => {
            let command = in_shell(&[line], shell);
            Some(
                image
                    .map(|image| Health { command: command.clone(), ..image })
                    .unwrap_or(Health::new(command)),
            )
        }
        None => image,
    };
    match base {
        Some(base) => apply(wish, base).map(Some),
        None if *wish == Wish::default() => Ok(None),
        None => Err(Error::invalid("choose the times of health checks: there is no check")
            .hint("name one: --health-cmd COMMAND")),
    }
}

fn in_shell(line: &[&str], shell: Option<&[String]>) -> Vec<String> {
    let shell = match shell.filter(|words| !words.is_empty()) {
        Some(words) => words.to_vec(),
        None => SHELL.map(str::to_owned).to_vec(),
    };
    shell.into_iter().chain(line.iter().map(|&w| w.to_owned())).collect()
}

fn apply(wish: &Wish, base: Health) -> Result<Health> {
    let time = |wish: Option<Duration>, base: Duration| wish.unwrap_or(base).min(LONGEST);
    let health = Health {
        command: base.command,
        interval: time(wish.interval, base.interval),
        timeout: time(wish.timeout, base.timeout),
        start_period: time(wish.start_period, base.start_period),
        start_interval: time(wish.start_interval, base.start_interval),
        retries: wish.retries.unwrap_or(base.retries),
    };
    let times = [
        ("interval", health.interval),
        ("timeout", health.timeout),
        ("start interval", health.start_interval),
    ];
    match times.iter().find(|(_, time)| *time < SHORTEST) {
        Some((name, _)) => Err(Error::invalid(format!("choose the {name} of health checks: less than 1ms"))),
        None => Ok(health),
    }
}

/// A duration as a number, as the documents of images have it.
mod nanoseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(test: &[&str]) -> Healthcheck {
        Healthcheck { test: test.iter().map(|&w| w.to_owned()).collect(), ..Healthcheck::default() }
    }

    fn shell() -> Vec<String> {
        vec!["/bin/bash".to_owned(), "-lc".to_owned()]
    }

    #[test]
    fn an_images_check_has_two_forms_and_dockers_defaults() {
        let check = |test: &[&str], shell| of_image(&image(test), shell).unwrap().map(|h| h.command);
        let words = |text: &[&str]| Some(text.iter().map(|&w| w.to_owned()).collect::<Vec<_>>());
        let own = shell();
        assert_eq!(check(&[], None), None);
        assert_eq!(check(&["NONE"], None), None);
        assert_eq!(check(&["CMD", "/check", "-a b"], Some(&own)), words(&["/check", "-a b"]));
        assert_eq!(check(&["CMD-SHELL", "a || b"], None), words(&["/bin/sh", "-c", "a || b"]));
        assert_eq!(check(&["CMD-SHELL", "a || b"], Some(&[])), words(&["/bin/sh", "-c", "a || b"]));
        assert_eq!(check(&["CMD-SHELL", "a || b"], Some(&own)), words(&["/bin/bash", "-lc", "a || b"]));
        for bad in [&["CMD"][..], &["CMD-SHELL"], &["NONE", "x"], &["cmd", "x"], &["/check"]] {
            assert!(of_image(&image(bad), None).is_err(), "{bad:?}");
        }

        let default = of_image(&image(&["CMD", "x"]), None).unwrap().unwrap();
        let second = Duration::from_secs;
        assert_eq!((default.interval, default.timeout, default.retries), (second(30), second(30), 3));
        assert_eq!((default.start_period, default.start_interval), (second(0), second(5)));
        let zeros = Healthcheck {
            interval: Some(0),
            timeout: Some(0),
            start_period: Some(0),
            start_interval: Some(0),
            retries: Some(0),
            ..image(&["CMD", "x"])
        };
        assert_eq!(of_image(&zeros, None).unwrap().unwrap(), default);
        let own =
            Healthcheck { interval: Some(2_000_000_000), retries: Some(1 << 40), ..image(&["CMD", "x"]) };
        let own = of_image(&own, None).unwrap().unwrap();
        assert_eq!((own.interval, own.retries), (second(2), u32::MAX));
        let busy = Healthcheck { interval: Some(999_999), ..image(&["CMD", "x"]) };
        let error = of_image(&busy, None).unwrap_err().to_string();
        assert_eq!(error, "choose the interval of health checks: less than 1ms");
    }

    #[test]
    fn what_is_asked_for_wins_over_the_image_one_by_one() {
        let second = Duration::from_secs;
        let image = || Some(Health { interval: second(7), retries: 9, ..Health::new(vec!["/check".into()]) });
        let none = Wish::default();
        assert_eq!(chosen(&none, None, None).unwrap(), None);
        assert_eq!(chosen(&none, image(), None).unwrap(), image());
        let disabled = Wish { disabled: true, ..Wish::default() };
        assert_eq!(chosen(&disabled, image(), None).unwrap(), None);

        let retries = Wish { retries: Some(1), ..Wish::default() };
        let changed = chosen(&retries, image(), None).unwrap().unwrap();
        assert_eq!(
            (changed.command, changed.interval, changed.retries),
            (vec!["/check".into()], second(7), 1)
        );
        let error = chosen(&retries, None, None).unwrap_err().to_string();
        assert_eq!(error, "choose the times of health checks: there is no check");

        let command = Wish { command: Some("a b".into()), timeout: Some(second(1)), ..Wish::default() };
        let changed = chosen(&command, image(), Some(&shell())).unwrap().unwrap();
        assert_eq!(changed.command, ["/bin/bash", "-lc", "a b"]);
        assert_eq!((changed.interval, changed.timeout), (second(7), second(1)));
        let alone = chosen(&command, None, None).unwrap().unwrap();
        assert_eq!((alone.command.join(" "), alone.interval), ("/bin/sh -c a b".into(), second(30)));
        for bad in [
            Wish { interval: Some(Duration::ZERO), ..command.clone() },
            Wish { timeout: Some(Duration::ZERO), ..command.clone() },
            Wish { start_interval: Some(Duration::from_nanos(1)), ..command },
        ] {
            assert!(chosen(&bad, None, None).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn it_survives_the_record_and_the_supervisors_options() {
        let health = Health {
            interval: Duration::from_millis(1500),
            ..Health::new(vec!["sh".into(), "-c".into(), "--x y".into()])
        };
        let text = serde_json::to_string(&health).unwrap();
        assert!(text.contains(r#""interval":1500000000"#), "{text}");
        assert_eq!(serde_json::from_str::<Health>(&text).unwrap(), health);
        let words = health.options();
        assert_eq!(words[..3], ["--health-cmd=sh", "--health-cmd=-c", "--health-cmd=--x y"]);
        assert_eq!(words[3..5], ["--health-interval=1500000us", "--health-timeout=30000000us"]);
        assert_eq!(words[7], "--health-retries=3");
    }
}
