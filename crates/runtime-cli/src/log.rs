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

use taru_stdx::{Context, Result};

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
    Journal(UnixDatagram),
    /// syslog(3)'s socket.
    Syslog(UnixDatagram),
}

impl Log {
    /// Opens what the options name.
    ///
    /// # Errors
    /// A file that cannot be made, a socket that nobody listens on.
    pub(crate) fn open(global: &Global) -> Result<Log> {
        let level = if global.debug { LogLevel::Debug } else { global.log_level };
        Log::new(global.log.as_deref(), global.log_format, level)
    }

    /// A log to `target`, a path or a name with `file:`, `journald:` or `syslog:` before it.
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

    /// A failure. `exit` is the status that stands for a program that cannot be executed: in JSON it has
    /// a field of its own, beside the words that engines used to runc look for.
    pub(crate) fn error(&self, message: &str, exit: Option<i32>) {
        self.write(LogLevel::Error, message, exit);
    }

    pub(crate) fn warning(&self, message: &str) {
        self.write(LogLevel::Warning, message, None);
    }

    pub(crate) fn debug(&self, message: &str) {
        self.write(LogLevel::Debug, message, None);
    }

    /// One message, in one write: several processes may append to one file. A full disk must not
    /// stop a container, so what cannot be written is lost.
    fn write(&self, level: LogLevel, message: &str, exit: Option<i32>) {
        if level > self.level {
            return;
        }
        let _ = match &*self.sink {
            Sink::Stderr if self.format == LogFormat::Text => {
                std::io::stderr().write_all(format!("taru-runtime: {}: {message}\n", name(level)).as_bytes())
            }
            Sink::Stderr => std::io::stderr().write_all(self.line(level, message, exit).as_bytes()),
            Sink::File(file) => (&mut &*file).write_all(self.line(level, message, exit).as_bytes()),
            Sink::Journal(socket) => socket.send(journal(level, message).as_bytes()).map(drop),
            Sink::Syslog(socket) => socket.send(syslog(level, message).as_bytes()).map(drop),
        };
    }

    /// A message as runc's logger writes it.
    fn line(&self, level: LogLevel, message: &str, exit: Option<i32>) -> String {
        // Seconds are enough, and what runc has.
        let full = taru_stdx::time::rfc3339(SystemTime::now());
        let time = format!("{}Z", full.get(..19).unwrap_or(&full));
        let (level, message) = (name(level), serde_json::Value::from(message));
        let exit = exit.map(|status| format!(",\"exit\":{status}")).unwrap_or_default();
        match self.format {
            LogFormat::Json => {
                format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"{exit}}}\n")
            }
            LogFormat::Text => format!("time=\"{time}\" level={level} msg={message}\n"),
        }
    }
}

impl Sink {
    fn open(target: &[u8]) -> Result<Sink> {
        if target.starts_with(b"journald:") {
            return connect("/run/systemd/journal/socket").map(Sink::Journal);
        }
        if target.starts_with(b"syslog:") {
            return connect("/dev/log").map(Sink::Syslog);
        }
        let path = Path::new(OsStr::from_bytes(target.strip_prefix(b"file:").unwrap_or(target)));
        let file = OpenOptions::new().append(true).create(true).mode(0o644).open(path);
        Ok(Sink::File(file.context(|| format!("open the log `{}`", path.display()))?))
    }
}

fn connect(path: &str) -> Result<UnixDatagram> {
    let what = || format!("open the log: connect to `{path}`");
    let socket = UnixDatagram::unbound().context(what)?;
    socket.connect(path).context(what)?;
    // A logger that hangs must not hang a container.
    socket.set_nonblocking(true).context(what)?;
    Ok(socket)
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

fn journal(level: LogLevel, message: &str) -> String {
    let message = message.replace('\n', " ");
    format!("MESSAGE={message}\nPRIORITY={}\nSYSLOG_IDENTIFIER=taru-runtime\n", priority(level))
}

fn syslog(level: LogLevel, message: &str) -> String {
    // Facility 3: system daemons.
    format!("<{}>taru-runtime[{}]: {message}", 3 * 8 + priority(level), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_form_that_engines_read() {
        let log = Log::new(None, LogFormat::Json, LogLevel::Warning).unwrap();
        let value: serde_json::Value =
            serde_json::from_str(&log.line(LogLevel::Error, "a \"b\"\n\u{1}", None)).unwrap();
        assert_eq!((value["level"].as_str(), value["msg"].as_str()), (Some("error"), Some("a \"b\"\n\u{1}")));
        assert_eq!(value["time"].as_str().unwrap().len(), "2026-11-22T00:09:31Z".len());
        let log = Log::new(None, LogFormat::Text, LogLevel::Warning).unwrap();
        assert!(log.line(LogLevel::Error, "a \"b\"", None).ends_with("level=error msg=\"a \\\"b\\\"\"\n"));
    }
}
