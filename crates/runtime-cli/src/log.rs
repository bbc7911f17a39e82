//! `--log`: errors and warnings as engines read them back.
//!
//! containerd takes the last JSON object with `"level":"error"` from the file, podman the only one.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;

use taru_stdx::{Context, Error, Kind, Result};

use crate::global::{Global, LogFormat, LogLevel};

/// Where messages go.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    sink: Rc<Sink>,
    format: LogFormat,
    level: LogLevel,
}

#[derive(Debug)]
enum Sink {
    /// Without --log.
    Stderr,
    File(File),
    /// systemd's journal, its own protocol: fields, one a line.
    Journal(Daemon),
    /// syslog(3)'s socket.
    Syslog(Daemon),
}

/// A logging daemon. Each message finds it anew: whether it runs, or restarts, is no affair of a container.
#[derive(Debug)]
struct Daemon {
    socket: UnixDatagram,
    address: &'static str,
    /// Who speaks: what follows the colon.
    identifier: String,
}

impl Log {
    /// Opens what the options name.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub(crate) fn open(global: &Global) -> Result<Log> {
        let level = if global.debug { LogLevel::Debug } else { global.log_level };
        Log::new(global.log.as_deref(), global.log_format, level)
    }

    /// A log to `target`, a path, `file:PATH`, `journald:NAME` or `syslog:NAME`.
    pub(crate) fn new(target: Option<&OsStr>, format: LogFormat, level: LogLevel) -> Result<Log> {
        let sink = match target {
            None => Sink::Stderr,
            Some(target) => Sink::open(target.as_bytes())?,
        };
        Ok(Log { sink: Rc::new(sink), format, level })
    }

    /// Whether errors go to standard error only, for a person to read.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(*self.sink, Sink::Stderr) && self.format == LogFormat::Text
    }

    pub(crate) fn is_stderr(&self) -> bool {
        matches!(*self.sink, Sink::Stderr)
    }

    /// A failure. In JSON the status that stands for a program that cannot be executed and the advice have
    /// fields of their own, beside the words that engines used to runc look for.
    pub(crate) fn error(&self, error: &Error) {
        let mut fields = match error.kind() {
            Kind::Exec(status) => format!(",\"exit\":{status}"),
            _ => String::new(),
        };
        let hints = error.hints();
        if !hints.is_empty() {
            fields.push_str(&format!(",\"hints\":{}", serde_json::Value::from(hints)));
        }
        self.write(LogLevel::Error, &error.chain().to_string(), &fields);
    }

    pub(crate) fn warning(&self, message: &str) {
        self.write(LogLevel::Warning, message, "");
    }

    pub(crate) fn debug(&self, message: &str) {
        self.write(LogLevel::Debug, message, "");
    }

    /// One message, in one write: several processes may append to one file. A full disk must not
    /// stop a container, nor the absence of a daemon: what cannot be written is lost.
    fn write(&self, level: LogLevel, message: &str, fields: &str) {
        if level > self.level {
            return;
        }
        let _ = match &*self.sink {
            Sink::Stderr if self.format == LogFormat::Text => {
                std::io::stderr().write_all(format!("taru-runtime: {}: {message}\n", name(level)).as_bytes())
            }
            Sink::Stderr => std::io::stderr().write_all(self.line(level, message, fields).as_bytes()),
            Sink::File(file) => (&mut &*file).write_all(self.line(level, message, fields).as_bytes()),
            Sink::Journal(daemon) => daemon.send(&journal(&daemon.identifier, level, message)),
            Sink::Syslog(daemon) => daemon.send(&syslog(&daemon.identifier, level, message)),
        };
    }

    /// A message as runc's logger writes it, in JSON with further `fields`.
    fn line(&self, level: LogLevel, message: &str, fields: &str) -> String {
        // Seconds are enough, and what runc has.
        let full = taru_stdx::time::rfc3339(SystemTime::now());
        let time = format!("{}Z", full.get(..19).unwrap_or(&full));
        let (level, message) = (name(level), serde_json::Value::from(message));
        match self.format {
            LogFormat::Json => {
                format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"{fields}}}\n")
            }
            LogFormat::Text => format!("time=\"{time}\" level={level} msg={message}\n"),
        }
    }
}

impl Sink {
    fn open(target: &[u8]) -> Result<Sink> {
        if let Some(name) = target.strip_prefix(b"journald:") {
            return Daemon::new("/run/systemd/journal/socket", name).map(Sink::Journal);
        }
        if let Some(name) = target.strip_prefix(b"syslog:") {
            return Daemon::new("/dev/log", name).map(Sink::Syslog);
        }
        let path = Path::new(OsStr::from_bytes(target.strip_prefix(b"file:").unwrap_or(target)));
        let file = OpenOptions::new().append(true).create(true).mode(0o644).open(path);
        Ok(Sink::File(file.context(|| format!("open the log `{}`", path.display()))?))
    }
}

impl Daemon {
    fn new(address: &'static str, name: &[u8]) -> Result<Daemon> {
        let what = || format!("open the log `{address}`");
        let socket = UnixDatagram::unbound().context(what)?;
        // A logger that hangs must not hang a container.
        socket.set_nonblocking(true).context(what)?;
        let name = if name.is_empty() { b"taru-runtime" } else { name };
        Ok(Daemon { socket, address, identifier: String::from_utf8_lossy(name).replace('\n', " ") })
    }

    fn send(&self, message: &str) -> std::io::Result<()> {
        self.socket.send_to(message.as_bytes(), self.address).map(drop)
    }
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warning => "warning",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    }
}

/// The priority of syslog(3).
fn priority(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 3,
        LogLevel::Warning => 4,
        LogLevel::Info => 6,
        LogLevel::Debug => 7,
    }
}

fn journal(identifier: &str, level: LogLevel, message: &str) -> String {
    let message = message.replace('\n', " ");
    format!("MESSAGE={message}\nPRIORITY={}\nSYSLOG_IDENTIFIER={identifier}\n", priority(level))
}

fn syslog(identifier: &str, level: LogLevel, message: &str) -> String {
    // Facility 3: system daemons.
    format!("<{}>{identifier}[{}]: {message}", 3 * 8 + priority(level), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_hear_who_speaks() {
        for (target, wanted) in [("syslog:", "<27>taru-runtime["), ("syslog:web\n1", "<27>web 1[")] {
            let Sink::Syslog(daemon) = Sink::open(target.as_bytes()).unwrap() else { panic!("{target}") };
            assert!(syslog(&daemon.identifier, LogLevel::Error, "a").starts_with(wanted), "{target}");
        }
        let Sink::Journal(daemon) = Sink::open(b"journald:web").unwrap() else { panic!("journald") };
        let sent = journal(&daemon.identifier, LogLevel::Error, "a\nb");
        assert_eq!(sent, "MESSAGE=a b\nPRIORITY=3\nSYSLOG_IDENTIFIER=web\n");
    }

    #[test]
    fn lines_have_the_form_that_engines_read() {
        let log = Log::new(None, LogFormat::Json, LogLevel::Warning).unwrap();
        let value: serde_json::Value =
            serde_json::from_str(&log.line(LogLevel::Error, "a \"b\"\n\u{1}", ",\"exit\":127")).unwrap();
        assert_eq!(value["exit"], 127);
        assert_eq!((value["level"].as_str(), value["msg"].as_str()), (Some("error"), Some("a \"b\"\n\u{1}")));
        assert_eq!(value["time"].as_str().unwrap().len(), "2026-11-22T00:09:31Z".len());
        let log = Log::new(None, LogFormat::Text, LogLevel::Warning).unwrap();
        assert!(log.line(LogLevel::Error, "a \"b\"", "").ends_with("level=error msg=\"a \\\"b\\\"\"\n"));
    }
}
