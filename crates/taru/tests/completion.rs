//! The completion scripts, in the shells that are installed.

use std::process::Command;

fn taru(shell: &str) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_taru")).args(["completion", shell]).output().expect("run taru");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("a script")
}

#[test]
fn bash_completes_verbs_and_options() {
    let completes = |line: &str, current: &str, previous: &str| {
        let words = line.split(' ').count();
        let script = format!(
            "{}\nCOMP_WORDS=({line}); COMP_CWORD={}; _taru taru '{current}' '{previous}'; echo \"${{COMPREPLY[@]}}\"",
            taru("bash"),
            words - 1
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().expect("run bash");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("words").trim_end().to_owned()
    };
    assert_eq!(completes("taru netn", "netn", "taru"), "netns");
    assert_eq!(completes("taru netns mon", "mon", "netns"), "monitor");
    assert_eq!(completes("taru netns list --form", "--form", "list"), "--format");
    assert_eq!(completes("taru netns list --format j", "j", "--format"), "json");
}

#[test]
fn every_shell_has_a_script_that_names_the_verbs() {
    for (shell, check) in [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["-n"])] {
        let script = taru(shell);
        assert!(script.contains("netns") && script.contains("completion"), "{shell}");
        let file = std::env::temp_dir().join(format!("taru-completion-{}.{shell}", std::process::id()));
        std::fs::write(&file, &script).expect("write the script");
        match Command::new(shell).args(check).arg(&file).status() {
            Ok(status) => assert!(status.success(), "{shell} cannot read its script"),
            Err(_) => taru_testkit::skip("every_shell_has_a_script_that_names_the_verbs", shell),
        }
        std::fs::remove_file(file).expect("remove the script");
    }
}
