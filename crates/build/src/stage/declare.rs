//! ARG and ENV: variables of the instructions that follow; those of ENV are the image's, too.

use taru_stdx::Result;

use super::state::State;
use crate::graph::EPOCH;

/// Variables of the build: what was given for them, else their default, else the one of that name before any FROM.
pub(super) fn arg(state: &mut State<'_>, args: &[(String, Option<String>)]) -> Result<()> {
    let mut text = "ARG".to_owned();
    for (name, default) in args {
        let name = state.expand(name)?;
        let value = match (state.around.args.get(&name), default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(state.expand(default)?),
            (None, None) => state.around.graph.globals.get(&name).cloned(),
        };
        text.push_str(&format!(" {name}"));
        if let Some(value) = &value {
            text.push_str(&format!("={value}"));
            if name != EPOCH {
                state.env.set(&name, value);
            }
        }
        state.declared.set(&name, value.as_deref().unwrap_or_default());
    }
    state.remember(text, false);
    Ok(())
}

/// Variables of the image.
pub(super) fn env(state: &mut State<'_>, pairs: &[(String, String)]) -> Result<()> {
    // All values see the variables as they were before this instruction.
    let expand = |(name, value): &(String, String)| Ok((state.expand(name)?, state.expand(value)?));
    let pairs = pairs.iter().map(expand).collect::<Result<Vec<_>>>()?;
    let mut text = "ENV".to_owned();
    for (name, value) in pairs {
        text.push_str(&format!(" {name}={value}"));
        state.env.set(&name, &value);
        let entry = format!("{name}={value}");
        let env = state.config.env.get_or_insert_default();
        match env.iter_mut().find(|e| e.split('=').next() == Some(&name)) {
            Some(old) => *old = entry,
            None => env.push(entry),
        }
    }
    state.remember(text, false);
    Ok(())
}
