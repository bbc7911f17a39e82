//! `taru completion`: the script that teaches a shell taru's words.

use std::process::ExitCode;

use clap::ValueEnum;
use clap_complete::{Shell, generate};
use taru_stdx::Result;

use crate::options::Global;
use crate::output;

/// Print the script that completes taru's verbs and options in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(taru completion bash)                            in ~/.bashrc
  taru completion zsh > ~/.zfunc/_taru                      with ~/.zfunc in $fpath
  taru completion fish > ~/.config/fish/completions/taru.fish")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Language,
}

/// The shells a script can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Bash,
    Fish,
    Zsh,
}

/// `define` gives the definition of the whole command line, of which this verb is a part.
pub(super) fn run(args: &Args, _: &Global, define: fn() -> clap::Command) -> Result<ExitCode> {
    let shell = match args.shell {
        Language::Bash => Shell::Bash,
        Language::Fish => Shell::Fish,
        Language::Zsh => Shell::Zsh,
    };
    let mut script = Vec::new();
    generate(shell, &mut define(), "taru", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
