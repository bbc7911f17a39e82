//! Instructions against the configuration and the steps they come to.

use std::collections::BTreeSet;

use super::*;
use crate::chmod::Mode;
use crate::dockerfile::Dockerfile;
use crate::graph::Wishes;

fn try_build(text: &str, args: &[(&str, &str)], base: Option<Image>) -> Result<Definite> {
    let file = Dockerfile::parse("D", text.as_bytes())?;
    let args = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let platform = "linux/amd64".parse()?;
    let contexts = BTreeSet::new();
    let wishes =
        Wishes { target: None, args: &args, platform: &platform, host: &platform, contexts: &contexts };
    let graph = Graph::new(&file, &wishes)?;
    let index = graph.target;
    let around = Around { name: "D", escape: file.escape, index, graph: &graph, args: &args };
    let base = base.unwrap_or_else(|| scratch(&platform));
    resolve(around, base, &file.stages[index].instructions)
}

fn build(text: &str) -> Definite {
    try_build(text, &[], None).unwrap_or_else(|e| panic!("{text}: {}", e.chain()))
}

fn config(text: &str) -> RunConfig {
    build(&format!("FROM scratch\n{text}")).image.config.unwrap()
}

fn run(definite: &Definite, at: usize) -> &RunStep {
    match &definite.steps[at].action {
        Action::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

fn copy(text: &str) -> CopyStep {
    match build(&format!("FROM scratch\n{text}")).steps.pop().unwrap().action {
        Action::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

fn strings(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|w| (*w).to_owned()).collect())
}

#[test]
fn the_configuration_is_buildkits() {
    assert_eq!(config("ENV a=1 b=2\nENV a=3").env, strings(&[&format!("PATH={PATH}"), "a=3", "b=2"]));
    // All values of one ENV see what was before it.
    assert_eq!(config("ENV a=1\nENV a=2 b=$a").env, strings(&[&format!("PATH={PATH}"), "a=2", "b=1"]));
    assert_eq!(config("ENV a=\"x y\" b='$a' c=x\\ y").env.unwrap()[1..], ["a=x y", "b=$a", "c=x y"]);
    assert_eq!(config("ENV a x  y").env.unwrap()[1..], ["a=x  y"]);
    assert_eq!(config("CMD a b").cmd, strings(&["/bin/sh", "-c", "a b"]));
    assert_eq!(config("SHELL [\"/bin/bash\", \"-ec\"]\nCMD a b").cmd, strings(&["/bin/bash", "-ec", "a b"]));
    assert_eq!(config("CMD [\"a\", \"$b\"]").cmd, strings(&["a", "$b"]));
    // ENTRYPOINT resets the CMD of the base, not the stage's own.
    assert_eq!(config("CMD [\"a\"]\nENTRYPOINT [\"b\"]").cmd, strings(&["a"]));
    let base = build("FROM scratch\nCMD [\"base\"]\nENTRYPOINT [\"e\"]\nUSER u\nWORKDIR /w\nLABEL a=1").image;
    let child = |text: &str| {
        let d = try_build(&format!("FROM x\n{text}"), &[], Some(base.clone())).unwrap();
        d.image.config.unwrap()
    };
    assert_eq!(child("ENTRYPOINT [\"b\"]").cmd, None);
    assert_eq!(child("ENTRYPOINT []").entrypoint, Some(vec![]));
    assert_eq!(child("RUN x").cmd, strings(&["base"]));
    assert_eq!(child("LABEL b=2 a=3").labels.unwrap().len(), 2);
    let c = child("WORKDIR x\nWORKDIR ../y");
    assert_eq!((c.working_dir.as_str(), c.user.as_str()), ("/w/y", "u"));
    let c = config("ENV P=90\nEXPOSE 80 53/udp $P 8000-8002/TCP");
    let ports: Vec<String> = c.exposed_ports.unwrap().into_keys().collect();
    assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp", "90/tcp"]);
    let volumes: Vec<String> =
        config("VOLUME /a /b\nVOLUME [\"/c d\"]").volumes.unwrap().into_keys().collect();
    assert_eq!(volumes, ["/a", "/b", "/c d"]);
    assert_eq!(config("STOPSIGNAL SIGQUIT").stop_signal.as_deref(), Some("SIGQUIT"));
    assert_eq!(config("ONBUILD RUN x\nONBUILD COPY a b").on_build, strings(&["RUN x", "COPY a b"]));
    assert_eq!(build("FROM scratch\nMAINTAINER me <a@b>").image.author.as_deref(), Some("me <a@b>"));
    assert_eq!(config("HEALTHCHECK NONE").healthcheck.unwrap().test, ["NONE"]);
    // Triggers of the base are not the child's.
    assert_eq!(child("RUN x").on_build, None);
}

#[test]
fn arguments_and_variables_have_their_order() {
    let text = "ARG G=global\nFROM scratch\nARG A=1\nARG G\nARG B=$A$G\nARG U\nENV A=env\nRUN x\n";
    let d = try_build(text, &[("B", "given")], None).unwrap();
    let env = &run(&d, 0).env;
    for wanted in ["A=env", "G=global", "B=given"] {
        assert!(env.iter().any(|e| e == wanted), "{env:?}");
    }
    assert!(!env.iter().any(|e| e.starts_with("U=")));
    // Of arguments, only ENV gets into the image.
    assert_eq!(d.image.config.unwrap().env.unwrap()[1..], ["A=env"]);
    let d = try_build("FROM scratch\nARG TARGETARCH\nRUN x", &[("HTTP_PROXY", "p")], None).unwrap();
    assert!(run(&d, 0).env.iter().any(|e| e == "TARGETARCH=amd64"));
    assert_eq!(run(&d, 0).proxies, ["HTTP_PROXY=p"]);
    assert!(!run(&d, 0).env.iter().any(|e| e.contains("PROXY")));
    let history: Vec<String> = d.image.history.unwrap().into_iter().filter_map(|h| h.created_by).collect();
    assert_eq!(history, ["ARG TARGETARCH=amd64", "RUN |1 TARGETARCH=amd64 /bin/sh -c x"]);
}

#[test]
fn history_tells_each_instruction_and_which_made_a_layer() {
    let d = build(
        "FROM scratch\nENV a=1\nRUN x\nCOPY --chown=1:2 a b /c/\nWORKDIR /w\nWORKDIR /\nCMD [\"a\",\"b\"]\nEXPOSE 1\n\
         LABEL x=\"y z\"\nVOLUME /v\nUSER u\nSTOPSIGNAL 9\nENTRYPOINT x\nADD <<F /f\nx\nF\n",
    );
    let told: Vec<(String, bool)> = d
        .image
        .history
        .unwrap()
        .into_iter()
        .map(|h| (h.created_by.unwrap(), h.empty_layer.is_none()))
        .collect();
    let wanted = [
        ("ENV a=1", false),
        ("RUN /bin/sh -c x", true),
        ("COPY --chown=1:2 a b /c/", true),
        ("WORKDIR /w", true),
        ("WORKDIR /", false),
        ("CMD [\"a\" \"b\"]", false),
        ("EXPOSE [1/tcp]", false),
        ("LABEL x=y z", false),
        ("VOLUME [/v]", false),
        ("USER u", false),
        ("STOPSIGNAL 9", false),
        ("ENTRYPOINT [\"/bin/sh\" \"-c\" \"x\"]", false),
        ("ADD <<F /f", true),
    ];
    assert_eq!(told, wanted.map(|(text, layer)| (text.to_owned(), layer)));
    assert_eq!(d.steps.len(), 4);
}

#[test]
fn copies_and_runs_are_definite() {
    assert_eq!(copy("WORKDIR /w\nENV D=x\nCOPY a $D/").dest, "/w/x/");
    assert_eq!(copy("WORKDIR /w\nCOPY a .").dest, "/w/");
    assert_eq!(copy("COPY a ../../b").dest, "/b");
    assert_eq!(copy("COPY --chmod=u+x a b").chmod, Some(Mode::parse("u+x").unwrap()));
    let c = copy("ENV V=1\nCOPY <<A <<'B' /d/\n$V \\$V \"q\" \\n\nA\n$V\nB\n");
    assert_eq!(c.contents[0].1, "1 $V \"q\" \\n\n");
    assert_eq!(c.contents[1].1, "$V\n");
    let d = build("FROM scratch\nENV V=1\nRUN <<-E\n\techo $V\n\tE\n");
    assert_eq!(run(&d, 0).args, ["/bin/sh", "-c", "echo $V\n"]);
    let d = build("FROM scratch\nRUN <<E\n#!/usr/bin/python3\nprint()\nE\n");
    assert_eq!(run(&d, 0).args, ["/dev/pipes/E"]);
    assert_eq!(run(&d, 0).script.as_ref().unwrap().1, "#!/usr/bin/python3\nprint()\n");
    let d = build("FROM scratch\nRUN cat <<A <<B >x\n1\nA\n2\nB\n");
    assert_eq!(run(&d, 0).args[2], "cat <<A <<B >x\n1\nA\n2\nB");
    let text = "FROM scratch\nENV C=/c\nWORKDIR /w\nRUN --mount=type=cache,target=$C,sharing=locked,uid=5 \
        --mount=type=secret,id=s --mount=type=secret,id=t,env=T --mount=target=x,rw --mount=type=ssh \
        --mount=type=tmpfs,target=/t,size=1m true\n";
    let d = build(text);
    let m = &run(&d, 1).mounts;
    assert_eq!(
        (m[0].target.as_str(), m[0].id.as_str(), m[0].sharing, m[0].uid),
        ("/c", "/c", Sharing::Locked, 5)
    );
    assert_eq!((m[1].target.as_str(), m[1].required), ("/run/secrets/s", false));
    assert_eq!((m[2].target.as_str(), m[2].env.as_deref()), ("", Some("T")));
    assert_eq!((m[3].target.as_str(), m[3].writable, m[3].source.as_str()), ("/w/x", true, "/"));
    assert_eq!((m[4].id.as_str(), m[5].size), ("default", Some(1 << 20)));
}

#[test]
fn all_that_is_wrong_in_a_stage_is_told() {
    for (text, wanted) in [
        ("ENV a=${b", "D:2: expand `${b`"),
        ("EXPOSE 0", "no port `0`"),
        ("EXPOSE 9-8", "no port"),
        ("EXPOSE 1/x", "no port"),
        ("STOPSIGNAL FOO", "no signal"),
        ("USER $NO", "USER: it is empty"),
        ("COPY --chmod=9 a b", "--chmod=9"),
        ("COPY \"a b", "double quote"),
        ("ADD --checksum=sha256:1 http://x/y z", "sha256:1"),
        ("RUN --mount=type=cache,target=/x,sharing=no y", "sharing=no"),
        ("RUN --mount=type=tmpfs,target=/ y", "the target is `/`"),
        ("VOLUME [\"\"]", "an empty path"),
        ("ARG x=\"${y:?set y}\"", "y: set y"),
    ] {
        let e = try_build(&format!("FROM scratch\n{text}"), &[], None).unwrap_err().chain().to_string();
        assert!(e.contains(wanted), "{text}: {e}");
    }
    let e = try_build("FROM scratch\nEXPOSE 0\nSTOPSIGNAL x", &[], None).unwrap_err().chain().to_string();
    assert!(e.contains("D:2") && e.contains("D:3"), "{e}");
}
