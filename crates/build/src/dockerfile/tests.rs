//! Tables of Dockerfiles that are read, and of those that are not.

use super::*;

fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse("Dockerfile", text.as_bytes()).unwrap_or_else(|e| panic!("{text}\n{}", e.chain()))
}

fn only(text: &str) -> Instruction {
    let file = parse(&format!("FROM scratch\n{text}"));
    assert_eq!(file.stages[0].instructions.len(), 1, "{text}");
    file.stages[0].instructions[0].instruction.clone()
}

fn shell(text: &str) -> String {
    match only(text) {
        Instruction::Run(Run { command: Command { words, shell: true }, .. }) => words.concat(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_are_joined_and_comments_vanish() {
    assert_eq!(shell("RUN a \\\n  b"), "a   b");
    assert_eq!(shell("RUN a && \\\n# comment\n  # another\n  b"), "a &&   b");
    assert_eq!(shell("RUN a \\  \n\n  b"), "a   b");
    assert_eq!(shell("run a\r\n"), "a");
    assert_eq!(shell("RUN a \\\r\n b\r\n"), "a  b");
    assert_eq!(shell("  RUN  a  "), "a");
    assert_eq!(shell("RUN a # no comment"), "a # no comment");
    assert_eq!(shell("RUN echo \\\\\n"), "echo \\\\");
    assert_eq!(shell("RUN [ -e x ] && y"), "[ -e x ] && y");
    let file = parse(
        "\u{feff}# syntax=docker/dockerfile:1.7-labs\n#escape=`\n# check=skip=all\nFROM a\nRUN x `\n y",
    );
    assert_eq!((file.escape, file.check.as_deref()), ('`', Some("skip=all")));
    assert_eq!(file.stages[0].instructions.len(), 1);
    // Behind anything else a directive is a comment.
    assert_eq!(parse("# hello\n# escape=`\nFROM a").escape, '\\');
    assert_eq!(parse("# unknown=1\n# escape=`\nFROM a").escape, '\\');
}

#[test]
fn here_documents_follow_their_line() {
    let Instruction::Run(run) = only("RUN <<EOF\necho a\n  # kept\nEOF\n") else { panic!() };
    assert_eq!(run.command.words, ["<<EOF"]);
    assert_eq!(run.files[0].content(), "echo a\n  # kept\n");
    assert!(run.files[0].expands);
    let Instruction::Run(run) = only("RUN cat <<-'A' <<\"B\" >x\n\ta\n\tA\nb\nB\n") else { panic!() };
    assert_eq!(run.files.len(), 2);
    assert_eq!((run.files[0].content(), run.files[0].expands), ("a\n".to_owned(), false));
    assert_eq!(run.files[1].text, "b\n");
    let Instruction::Copy(copy) = only("COPY --chmod=755 <<one x <<two /d/\n1\none\n2\ntwo\n") else {
        panic!()
    };
    assert_eq!(copy.sources, ["x"]);
    assert_eq!(copy.contents.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    // The shell's own <<< and a JSON list name none.
    assert_eq!(shell("RUN cat <<<EOF"), "cat <<<EOF");
    let Instruction::Run(run) = only("RUN [\"echo\", \"<<EOF\"]\n") else { panic!() };
    assert!(run.files.is_empty() && !run.command.shell);
    let Instruction::Onbuild(text) = only("ONBUILD RUN <<EOF\na\nEOF\n") else { panic!() };
    assert_eq!(text, "RUN <<EOF\na\nEOF");
    let placed = Dockerfile::trigger(&text, "x").unwrap();
    assert!(matches!(placed.instruction, Instruction::Run(run) if run.files[0].text == "a\n"));
}

#[test]
fn forms_and_flags() {
    assert_eq!(
        only("CMD [\"a\", \"b c\"]"),
        Instruction::Cmd(Command { words: vec!["a".into(), "b c".into()], shell: false })
    );
    assert_eq!(only("CMD ['a']"), Instruction::Cmd(Command { words: vec!["['a']".into()], shell: true }));
    assert_eq!(only("ENTRYPOINT []"), Instruction::Entrypoint(Command::default()));
    assert_eq!(only("ENV a b  c"), Instruction::Env(vec![("a".into(), "b  c".into())]));
    assert_eq!(
        only("ENV a=b c=\"d e\" f=g\\ h"),
        Instruction::Env(vec![
            ("a".into(), "b".into()),
            ("c".into(), "\"d e\"".into()),
            ("f".into(), "g\\ h".into())
        ])
    );
    assert_eq!(only("ARG a b=c"), Instruction::Arg(vec![("a".into(), None), ("b".into(), Some("c".into()))]));
    assert_eq!(only("VOLUME [\"/a b\"]"), Instruction::Volume(vec!["/a b".into()]));
    assert_eq!(only("VOLUME /a /b"), Instruction::Volume(vec!["/a".into(), "/b".into()]));
    let Instruction::Copy(copy) = only("COPY --link --from=x --chown=a:b --exclude=*.o --exclude=*.a a b c/")
    else {
        panic!()
    };
    assert!(copy.link && !copy.parents);
    assert_eq!((copy.from.as_deref(), copy.exclude.len(), copy.sources.len()), (Some("x"), 2, 2));
    let Instruction::Run(run) = only("RUN --network=none --mount=type=tmpfs,target=/t --security=sandbox a")
    else {
        panic!()
    };
    assert_eq!((run.network, run.mounts.len(), run.insecure), (Network::None, 1, false));
    let Instruction::Healthcheck(check) =
        only("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl x")
    else {
        panic!()
    };
    assert_eq!(check.test, ["CMD-SHELL", "curl x"]);
    assert_eq!(
        (check.interval, check.timeout, check.retries),
        (Some(90_000_000_000), Some(500_000_000), Some(3))
    );
    let Instruction::Healthcheck(check) = only("HEALTHCHECK none") else { panic!() };
    assert_eq!(check.test, ["NONE"]);
    let file = parse("ARG V=1\nfrom --platform=linux/arm64 a:$V As Base\nFROM base\n");
    assert_eq!(file.stages[0].from.name.as_deref(), Some("base"));
    assert_eq!(file.args, [(1, "V".to_owned(), Some("1".to_owned()))]);
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_all_at_once() {
    for (text, wanted, hint) in [
        ("RUN x", "Dockerfile:1: RUN before the first FROM", "only ARG"),
        ("", "no FROM", "FROM IMAGE"),
        ("FROM", "Dockerfile:1: FROM: nothing follows", ""),
        ("FROM a b", "neither IMAGE nor", ""),
        ("FROM a AS 1x", "not a name", "a letter"),
        ("FROM a\nRUNN x", "Dockerfile:2: no instruction `RUNN`", "did you mean RUN?"),
        ("FROM a\nCOPY --form=x a b", "no", "did you mean `--from`?"),
        ("FROM a\nCOPY --from=x --from=y a b", "twice", ""),
        ("FROM a\nCOPY --from a b", "value is missing", "no blank"),
        ("FROM a\nCOPY --link=maybe a b", "neither true nor false", ""),
        ("FROM a\nCOPY a", "has no destination", ""),
        ("FROM a\nCOPY a b c", "several sources", "write `c/`"),
        ("FROM a\nCOPY http://x/y /z", "is a URL", "ADD takes URLs"),
        ("FROM a\nADD --checksum=sha256:x a b", "--checksum", ""),
        ("FROM a\nADD https://github.com/a/b.git /x", "git repository", "RUN"),
        ("FROM a\nENV x", "`x` has no value", ""),
        ("FROM a\nENV x=1 y", "`y` has no `=`", "quotes"),
        ("FROM a\nENV =x", "a name is empty", ""),
        ("FROM a\nSHELL /bin/sh", "no JSON list", ""),
        ("FROM a\nCMD [1]", "only strings", ""),
        ("FROM a\nHEALTHCHECK curl", "neither CMD nor NONE", ""),
        ("FROM a\nHEALTHCHECK --interval=5 CMD x", "--interval=5", "unit"),
        ("FROM a\nONBUILD FROM x", "cannot be a trigger", ""),
        ("FROM a\nONBUILD ONBUILD RUN x", "cannot be a trigger", ""),
        ("FROM a\nRUN --network=x y", "use the network", ""),
        ("FROM a\nRUN <<EOF\nx", "does not end", "nothing but `EOF`"),
        ("# escape=x\nFROM a", "escape character", ""),
        ("# escape=`\n# escape=`\nFROM a", "twice", ""),
        ("# syntax=example.com/x\nFROM a", "frontend", "executes no frontend"),
    ] {
        let e = Dockerfile::parse("Dockerfile", text.as_bytes()).unwrap_err();
        assert!(e.chain().to_string().contains(wanted), "{text:?}: {}", e.chain());
        assert!(hint.is_empty() || e.hints().iter().any(|h| h.contains(hint)), "{text:?}: {:?}", e.hints());
    }
    let e = Dockerfile::parse("D", b"FROM a\nRUNN x\nCOPY a\nFROM").unwrap_err().chain().to_string();
    assert!(e.contains("D:2") && e.contains("D:3") && e.contains("D:4"), "{e}");
    assert!(Dockerfile::parse("D", b"FROM a\nRUN \xff").is_err());
}

/// A poor man's fuzzer for every run of the tests; the real one is in `fuzz`.
#[test]
fn no_bytes_panic() {
    let seeds: &[&str] = &[
        "# escape=`\nFROM --platform=$X a:${V:-1} AS b\nRUN --mount=type=bind,target=/x <<-E x \\\n y\n\ta\nE\n",
        "ARG A=${B/x/y}\nFROM scratch\nCOPY [\"a\", \"b\"] --chmod=u+x <<E /d/\n$X\nE\nHEALTHCHECK --interval=1s CMD x\n",
        "FROM a\nENV a=\"b${c:+d}\" 'e=f\nEXPOSE 1-9/udp\nONBUILD COPY --from=x <<E y\nE\nVOLUME [\"/x\"]\n",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let alphabet: Vec<char> = "\\`\"'$<>{}[]=-:#/*?\n\t aERUNFOM1,é\u{feff}".chars().collect();
    for round in 0..6000 {
        let mut chars: Vec<char> = seeds[round % seeds.len()].chars().collect();
        for _ in 0..=random(8) {
            let at = random(chars.len());
            match random(3) {
                0 => drop(chars.remove(at)),
                1 => chars.insert(at, alphabet[random(alphabet.len())]),
                _ => chars[at] = alphabet[random(alphabet.len())],
            }
        }
        let text: String = chars.into_iter().collect();
        let _ = crate::check("D", text.as_bytes());
    }
}
