//! `taru login`: credentials for a registry.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use taru_engine::image::login;
use taru_stdx::{Context, Error, Kind, Result};

use crate::commands::open;
use crate::options::{Global, LogLevel};
use crate::{output, prompt};

/// Bytes of a password.
const LONGEST: u64 = 64 << 10;

/// Log in to a registry
///
/// User and password are tried first, then kept where docker keeps them, for taru as well as for docker, podman and
/// skopeo: with the credential helper of ~/.docker/config.json, or in that file, readable by you alone. What is not
/// given is asked for.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru login                                      docker.io
  taru login -u me quay.io
  pass registry | taru login -u me --password-stdin localhost:5000")]
pub struct Args {
    /// Log in as this user
    #[arg(long, short, value_name = "USER")]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,
    /// Use this password; others can see it in the list of processes, so rather use --password-stdin
    #[arg(long, short, value_name = "PASSWORD", requires = "username")]
    password: Option<String>,
    /// The registry [default: docker.io]
    #[arg(value_name = "REGISTRY")]
    registry: Option<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let registry = login::registry(args.registry.as_deref());
    let (user, password) = credentials(args, global).context(|| format!("log in to `{registry}`"))?;
    let engine = open(global)?;
    login::login(engine.registry()?, registry, user.clone(), password)?;
    output::line(&format!("logged in to {registry} as {user}"))?;
    Ok(ExitCode::SUCCESS)
}

fn credentials(args: &Args, global: &Global) -> Result<(String, String)> {
    let at_terminal = std::io::stdin().is_terminal();
    let user = match &args.username {
        Some(user) => user.clone(),
        None if at_terminal && !args.password_stdin => prompt::line("User: ")?,
        None => return Err(Error::invalid("no user is given").hint("name one with --username")),
    };
    let password = match &args.password {
        Some(password) => {
            output::note(
                global,
                LogLevel::Warn,
                "a password on the command line is seen by all users of this host; use --password-stdin",
            );
            password.clone()
        }
        None if args.password_stdin => from_stdin()?,
        None if at_terminal => prompt::secret("Password: ")?,
        None => {
            return Err(Error::invalid("no password is given, and nobody to ask")
                .hint("standard input is no terminal: give the password there, with --password-stdin"));
        }
    };
    match user.is_empty() || password.is_empty() {
        true => Err(Error::invalid("the user or the password is empty")),
        false => Ok((user, password)),
    }
}

/// All of standard input, but for the end of its line.
fn from_stdin() -> Result<String> {
    let what = || "read the password from standard input";
    let mut text = String::new();
    std::io::stdin().take(LONGEST + 1).read_to_string(&mut text).context(what)?;
    if text.len() as u64 > LONGEST {
        return Err(Error::new(Kind::Limit, format!("{}: it is too long", what())));
    }
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
