//! A seccomp profile, typed: what `linux.seccomp` of an OCI configuration says.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::seccomp::{flag, ret};

use crate::arch::Arch;

/// The largest profile text that is read. Docker's has 15 KiB.
pub const MAX_TEXT: usize = 4 << 20;
/// The most rules, names and arguments that a profile may have in all; a filter is far smaller anyway.
const MAX_ITEMS: usize = 100_000;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Kill the thread: `SCMP_ACT_KILL` and `SCMP_ACT_KILL_THREAD`.
    KillThread,
    /// Kill the process.
    KillProcess,
    /// Send SIGSYS.
    Trap,
    /// Fail with an errno.
    Errno,
    /// Ask the tracer.
    Trace,
    /// Allow.
    Allow,
    /// Allow, and log.
    Log,
    /// Ask the listener.
    Notify,
}

/// OCI names of the actions; the first name of an action is the one to print.
const ACTIONS: [(&str, Action); 9] = [
    ("SCMP_ACT_ALLOW", Action::Allow),
    ("SCMP_ACT_ERRNO", Action::Errno),
    ("SCMP_ACT_KILL", Action::KillThread),
    ("SCMP_ACT_KILL_PROCESS", Action::KillProcess),
    ("SCMP_ACT_KILL_THREAD", Action::KillThread),
    ("SCMP_ACT_LOG", Action::Log),
    ("SCMP_ACT_NOTIFY", Action::Notify),
    ("SCMP_ACT_TRACE", Action::Trace),
    ("SCMP_ACT_TRAP", Action::Trap),
];

impl Action {
    /// All names of actions, sorted: the `actions` of the OCI features document.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ACTIONS.iter().map(|(name, _)| *name)
    }

    /// The value a filter returns for it. `errno` is the data of [`Action::Errno`] and [`Action::Trace`],
    /// EPERM by default.
    pub fn verdict(self, errno: Option<u32>) -> u32 {
        let data = errno.unwrap_or(EPERM) & 0xffff;
        match self {
            Action::KillThread => ret::KILL_THREAD,
            Action::KillProcess => ret::KILL_PROCESS,
            Action::Trap => ret::TRAP,
            Action::Errno => ret::ERRNO | data,
            Action::Trace => ret::TRACE | data,
            Action::Allow => ret::ALLOW,
            Action::Log => ret::LOG,
            Action::Notify => ret::USER_NOTIF,
        }
    }
}

pub(crate) const EPERM: u32 = 1;

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Op {
    Ne,
    Lt,
    Le,
    Eq,
    Ge,
    Gt,
    /// `argument & value == value_two & value`.
    MaskedEq,
}

const OPS: [(&str, Op); 7] = [
    ("SCMP_CMP_EQ", Op::Eq),
    ("SCMP_CMP_GE", Op::Ge),
    ("SCMP_CMP_GT", Op::Gt),
    ("SCMP_CMP_LE", Op::Le),
    ("SCMP_CMP_LT", Op::Lt),
    ("SCMP_CMP_MASKED_EQ", Op::MaskedEq),
    ("SCMP_CMP_NE", Op::Ne),
];

impl Op {
    /// All names of comparisons, sorted: the `operators` of the OCI features document.
    pub fn names() -> impl Iterator<Item = &'static str> {
        OPS.iter().map(|(name, _)| *name)
    }
}

/// One comparison of an argument. All arguments are unsigned 64-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Arg {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// The value, or the mask of [`Op::MaskedEq`].
    pub value: u64,
    /// The value of [`Op::MaskedEq`].
    pub value_two: u64,
    /// How it is compared.
    pub op: Op,
}

/// What happens to the named system calls when all `args` hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The calls. Unknown names are skipped.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: Action,
    /// The data of [`Action::Errno`] and [`Action::Trace`].
    pub errno: Option<u32>,
    /// The conditions. When two are on the same argument, each stands for a rule of its own. Behind
    /// `socketcall` and `ipc`, which the rule covers too, they cannot be seen (as with libseccomp).
    pub args: Vec<Arg>,
}

/// Flags of a filter, as [`flag`] has them.
const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", flag::TSYNC),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", flag::SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_LOG", flag::LOG),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", flag::WAIT_KILLABLE_RECV),
];

/// All names of flags with their bits: the `knownFlags` of the OCI features document.
pub fn flag_names() -> impl Iterator<Item = (&'static str, u32)> {
    FLAGS.iter().copied()
}

/// A seccomp profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What happens to a call that no rule matches.
    pub default_action: Action,
    /// Its data.
    pub default_errno: Option<u32>,
    /// The architectures besides the native one.
    pub architectures: Vec<Arch>,
    /// Flags of the filter, bits of [`flag`].
    pub flags: u32,
    /// The socket to which the listener of "notify" verdicts is sent.
    pub listener_path: Option<PathBuf>,
    /// Opaque text sent along.
    pub listener_metadata: Option<String>,
    /// The rules, in the document's order.
    pub rules: Vec<Rule>,
}

impl Profile {
    /// A profile without rules.
    pub fn new(default_action: Action) -> Profile {
        Profile {
            default_action,
            default_errno: None,
            architectures: Vec::new(),
            flags: 0,
            listener_path: None,
            listener_metadata: None,
            rules: Vec::new(),
        }
    }

    /// Reads `linux.seccomp` of an OCI configuration.
    ///
    /// Keys match in any case and null is the same as absent, as in runc (Go's JSON); names of actions,
    /// operators, architectures and flags match exactly. `None`: neither a default action nor a rule, which
    /// runc takes for "no seccomp".
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what the specification does not allow, all problems together;
    /// [`Kind::Limit`] if the text is larger than [`MAX_TEXT`] or has too many rules.
    pub fn parse(json: &str) -> Result<Option<Profile>> {
        if json.len() > MAX_TEXT {
            return Err(Error::new(
                Kind::Limit,
                format!("read the seccomp profile: more than {MAX_TEXT} bytes"),
            ));
        }
        let document: Option<Document> =
            serde_json::from_str(json).context_as(Kind::Invalid, || "read the seccomp profile")?;
        document.map_or(Ok(None), Document::check)
    }

    /// The profile as `linux.seccomp` of an OCI configuration: what [`Profile::parse`] reads.
    pub fn to_json(&self) -> String {
        let flags = FLAGS.iter().filter(|(_, bit)| self.flags & bit != 0);
        let text = Text {
            default_action: name_in(&ACTIONS, self.default_action),
            default_errno_ret: self.default_errno,
            architectures: self.architectures.iter().map(|arch| arch.oci_name()).collect(),
            flags: flags.map(|(name, _)| *name).collect(),
            listener_path: self.listener_path.as_ref().map(|path| path.to_string_lossy()),
            listener_metadata: self.listener_metadata.as_deref(),
            syscalls: self.rules.iter().map(RuleText::new).collect(),
        };
        // Strings and numbers can always be written.
        serde_json::to_string(&text).unwrap_or_default()
    }
}

/// `linux.seccomp` to be written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Text<'a> {
    default_action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_errno_ret: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    architectures: Vec<&'static str>,
    flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener_path: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener_metadata: Option<&'a str>,
    syscalls: Vec<RuleText<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleText<'a> {
    names: &'a [String],
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno_ret: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<ArgText>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArgText {
    index: u32,
    value: u64,
    value_two: u64,
    op: &'static str,
}

impl RuleText<'_> {
    fn new(rule: &Rule) -> RuleText<'_> {
        let args = rule.args.iter().map(|arg| {
            let Arg { index, value, value_two, op } = *arg;
            ArgText { index, value, value_two, op: name_in(&OPS, op) }
        });
        RuleText {
            names: &rule.names,
            action: name_in(&ACTIONS, rule.action),
            errno_ret: rule.errno,
            args: args.collect(),
        }
    }
}

/// The (first) name of `value` in `table`.
fn name_in<T: PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

/// Reads a JSON object whose keys match in any case and whose null values leave the default, into a struct
/// that implements Default. A repeated key overwrites.
macro_rules! object {
    ($(#[$meta:meta])* struct $name:ident { $($key:literal => $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Default)]
        struct $name { $($field: $type,)* }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<$name, D::Error> {
                struct Fields;
                impl<'de> Visitor<'de> for Fields {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<$name, A::Error> {
                        let mut value = $name::default();
                        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                            $(if key.eq_ignore_ascii_case($key) {
                                if let Some(given) = map.next_value::<Option<$type>>()? {
                                    value.$field = given;
                                }
                                continue;
                            })*
                            map.next_value::<IgnoredAny>()?;
                        }
                        Ok(value)
                    }
                }
                deserializer.deserialize_map(Fields)
            }
        }
    };
}

object! {
    struct Document {
        "defaultAction" => default_action: String,
        "defaultErrnoRet" => default_errno: Option<u64>,
        "architectures" => architectures: Vec<String>,
        "flags" => flags: Option<Vec<String>>,
        "listenerPath" => listener_path: String,
        "listenerMetadata" => listener_metadata: String,
        "syscalls" => syscalls: Vec<DocumentRule>,
    }
}

object! {
    struct DocumentRule {
        "names" => names: Vec<String>,
        "action" => action: String,
        "errnoRet" => errno: Option<u64>,
        "args" => args: Vec<DocumentArg>,
    }
}

object! {
    struct DocumentArg {
        "index" => index: u64,
        "value" => value: u64,
        "valueTwo" => value_two: u64,
        "op" => op: String,
    }
}

impl Document {
    /// Checks every word, and reports all that is wrong.
    fn check(self) -> Result<Option<Profile>> {
        if self.default_action.is_empty() && self.syscalls.is_empty() {
            return Ok(None);
        }
        let items: usize = self.syscalls.iter().map(|r| 1 + r.names.len() * (1 + r.args.len())).sum();
        if items > MAX_ITEMS {
            return Err(Error::new(
                Kind::Limit,
                format!("read the seccomp profile: more than {MAX_ITEMS} rules"),
            ));
        }
        let mut wrong = Wrong::default();
        let default_action = wrong.known(&ACTIONS, "defaultAction", &self.default_action);
        if default_action == Some(Action::Notify) {
            wrong.add("seccomp `defaultAction`: SCMP_ACT_NOTIFY cannot be the default action");
        }
        let default_errno = wrong.errno("defaultErrnoRet", self.default_errno);
        let mut architectures = Vec::new();
        for name in &self.architectures {
            match Arch::from_oci(name) {
                Some(arch) => architectures.push(arch),
                None => wrong.add(format!("seccomp `architectures`: no architecture `{name}`")),
            }
        }
        // Not even an empty list: runc and crun then leave the mitigation of speculative store bypass off, as the
        // kernel itself does since 5.16.
        let mut flags = if self.flags.is_none() { flag::SPEC_ALLOW } else { 0 };
        for name in self.flags.iter().flatten() {
            flags |= wrong.known(&FLAGS, "flags", name).unwrap_or(0);
        }
        let rules = self.syscalls.into_iter().filter_map(|rule| rule.check(&mut wrong)).collect();
        let Some(default_action) = default_action.filter(|_| wrong.0.is_empty()) else {
            return Err(Error::all(wrong.0).unwrap_or_else(|| Error::invalid("seccomp: no default action")));
        };
        Ok(Some(Profile {
            default_action,
            default_errno,
            architectures,
            flags,
            listener_path: (!self.listener_path.is_empty()).then(|| self.listener_path.into()),
            listener_metadata: (!self.listener_metadata.is_empty()).then_some(self.listener_metadata),
            rules,
        }))
    }
}

impl DocumentRule {
    fn check(self, wrong: &mut Wrong) -> Option<Rule> {
        let action = wrong.known(&ACTIONS, "action", &self.action);
        if self.names.iter().any(String::is_empty) {
            wrong.add("seccomp `names`: an empty name");
        }
        // Who loads the filter still has to hand the listener over: nobody could answer for that call. runc
        // refuses `write`, by which it tells the number; taru's runtime sends the descriptor by `sendmsg`.
        for name in ["write", "sendmsg"] {
            if action == Some(Action::Notify) && self.names.iter().any(|n| n == name) {
                wrong.add(format!("seccomp `{name}`: SCMP_ACT_NOTIFY cannot be used for it: handing over the listener takes it"));
            }
        }
        let errno = wrong.errno("errnoRet", self.errno);
        let mut args = Vec::with_capacity(self.args.len());
        for arg in &self.args {
            let op = wrong.known(&OPS, "op", &arg.op);
            if arg.index > 5 {
                wrong.add(format!(
                    "seccomp `args`: index {}: a system call has the arguments 0 to 5",
                    arg.index
                ));
            }
            args.push(Arg { index: arg.index as u32, value: arg.value, value_two: arg.value_two, op: op? });
        }
        Some(Rule { names: self.names, action: action?, errno, args })
    }
}

/// The problems found so far; no more than twenty are kept.
#[derive(Default)]
struct Wrong(Vec<Error>);

impl Wrong {
    fn add(&mut self, message: impl Into<String>) {
        if self.0.len() < 20 {
            self.0.push(Error::invalid(message));
        }
    }

    /// The meaning of `name` in `table`; noted as a problem if it is not there.
    fn known<T: Copy>(&mut self, table: &[(&str, T)], key: &str, name: &str) -> Option<T> {
        let found = table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        if found.is_none() {
            self.add(format!("seccomp `{key}`: no such value `{name}`"));
        }
        found
    }

    /// An errno as a filter can carry it: 16 bits.
    fn errno(&mut self, key: &str, value: Option<u64>) -> Option<u32> {
        let value = value?;
        if value > 0xffff {
            self.add(format!("seccomp `{key}`: {value} is no errno"));
        }
        Some(value as u32)
    }
}
