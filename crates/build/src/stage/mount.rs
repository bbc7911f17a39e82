//! `--mount` of a RUN: its fields expanded, read, and completed by what its type has for those that are missing.

use taru_stdx::{Error, Result};

use super::state::{State, absolute};
use super::step::{Mount, Sharing};
use crate::dockerfile::{MountFlag, MountKind};

/// Makes a mount definite.
///
/// # Errors
/// A value that its key does not have; a secret without an id; the root as the target.
pub(super) fn resolve(state: &State<'_>, flag: &MountFlag) -> Result<Mount> {
    let fields = Fields { state, flag };
    let mode = fields.number("mode", 8)?;
    if let Some(mode) = mode.filter(|mode| *mode > 0o7777) {
        return Err(bad("mode", &format!("{mode:o}")));
    }
    let from = match flag.field("from") {
        None => None,
        Some(from) => Some(state.around.graph.from(state.around.index, from)?),
    };
    let source = fields.text("source")?;
    let env = fields.text("env")?;
    let names = names(&fields, source.as_deref(), env.is_some())?;
    Ok(Mount {
        kind: flag.kind,
        target: names.target,
        from,
        source: match flag.kind {
            MountKind::Bind | MountKind::Cache => absolute("/", &source.unwrap_or_default()),
            _ => String::new(),
        },
        id: names.id,
        sharing: fields.sharing()?,
        writable: fields.writable()?,
        size: fields.text("size")?.map(|text| taru_stdx::parse::size(&text)).transpose()?,
        required: fields.switch("required")?.unwrap_or(false),
        env,
        mode,
        uid: fields.number("uid", 10)?.unwrap_or(0),
        gid: fields.number("gid", 10)?.unwrap_or(0),
    })
}

/// How a mount is called, and where it is: absolute, or empty.
struct Names {
    id: String,
    target: String,
}

fn names(fields: &Fields<'_>, source: Option<&str>, is_variable: bool) -> Result<Names> {
    let (id, target) = (fields.text("id")?, fields.text("target")?.unwrap_or_default());
    let Names { id, mut target } = match fields.flag.kind {
        MountKind::Secret => secret_names(id, source, target, is_variable)?,
        MountKind::Ssh => Names { id: id.unwrap_or_else(|| "default".to_owned()), target },
        MountKind::Cache => {
            let id = id.filter(|id| !id.is_empty());
            Names { id: id.unwrap_or_else(|| fields.state.absolute(&target)), target }
        }
        MountKind::Bind | MountKind::Tmpfs => Names { id: id.unwrap_or_default(), target },
    };
    if !target.is_empty() {
        target = fields.state.absolute(&target);
        target.truncate(target.trim_end_matches('/').len());
        if target.is_empty() {
            return Err(Error::invalid("RUN --mount: the target is `/`"));
        }
    }
    Ok(Names { id, target })
}

/// Of a secret, each of id, source and target stands for the others; one in the environment alone has no target.
fn secret_names(
    id: Option<String>,
    source: Option<&str>,
    target: String,
    is_variable: bool,
) -> Result<Names> {
    let last = |path: &str| path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned);
    let id = id.or_else(|| source.map(str::to_owned)).or_else(|| last(&target));
    let Some(id) = id else {
        return Err(Error::invalid("RUN --mount: a secret without an id"));
    };
    let target = match target.is_empty() && !is_variable {
        true => format!("/run/secrets/{}", id.rsplit('/').next().unwrap_or(&id)),
        false => target,
    };
    Ok(Names { id, target })
}

/// The fields of one mount, as they are read.
struct Fields<'a> {
    state: &'a State<'a>,
    flag: &'a MountFlag,
}

impl Fields<'_> {
    fn text(&self, key: &str) -> Result<Option<String>> {
        self.flag.field(key).map(|text| self.state.expand(text)).transpose()
    }

    fn switch(&self, key: &str) -> Result<Option<bool>> {
        match self.text(key)?.as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(bad(key, other).hint("true or false")),
        }
    }

    fn number(&self, key: &str, radix: u32) -> Result<Option<u32>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        u32::from_str_radix(&text, radix).map(Some).map_err(|e| bad(key, &text).because(e))
    }

    fn sharing(&self) -> Result<Sharing> {
        match self.text("sharing")?.as_deref() {
            None | Some("shared") => Ok(Sharing::Shared),
            Some("private") => Ok(Sharing::Private),
            Some("locked") => Ok(Sharing::Locked),
            Some(other) => Err(bad("sharing", other).hint("shared, private or locked")),
        }
    }

    /// What is not said: all but files of others can be written to.
    fn writable(&self) -> Result<bool> {
        Ok(match (self.switch("readwrite")?, self.switch("readonly")?) {
            (Some(writable), _) => writable,
            (None, Some(readonly)) => !readonly,
            (None, None) => self.flag.kind != MountKind::Bind,
        })
    }
}

fn bad(key: &str, text: &str) -> Error {
    Error::invalid(format!("RUN --mount: use `{key}={text}`"))
}
