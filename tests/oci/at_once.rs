//! Several commands at once on one container: each acts on the one that it looked at, and none is surprised by what another did.

use std::fs;

use serde_json::json;
use taru_testkit::{Family, eventually, sandbox};

/// `delete` waits for another one that is at its hooks; when that is done, another container has the id.
#[test]
fn a_delete_that_waited_harms_no_later_container_of_the_id() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "one command at a time on a container") {
            return;
        }
        let gate = sandbox.dir().join("gate");
        let wait = format!("while ! [ -e {} ]; do sleep 0.01; done", gate.display());
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", wait], "env": ["PATH=/usr/bin:/bin"] });
        let container =
            sandbox.runtime().start(&sandbox.bundle().put("/hooks", json!({ "poststop": [hook] })));
        container.wait_stopped();
        let later = sandbox.bundle().idle();
        later.write();

        let deletes = [(), ()].map(|()| sandbox.runtime().invoke(["delete", container.id()]).spawn());
        let record = sandbox.runtime().root().join(container.id());
        for delete in &deletes {
            let files = format!("/proc/{}/fd", delete.pid());
            eventually("it locks the container, or waits for that", || {
                fs::read_dir(&files).is_ok_and(|mut files| {
                    files.any(|file| file.is_ok_and(|f| fs::read_link(f.path()).is_ok_and(|to| to == record)))
                })
            });
        }
        fs::write(&gate, "").expect("open the gate");
        let run = || {
            let run = sandbox.runtime().invoke(["run", "--detach", "--bundle"]);
            run.arg(later.dir()).arg(container.id()).output()
        };
        eventually("the id is free", || run().status == 0);
        let [first, second] = deletes.map(|delete| delete.wait());
        let (done, late) = if first.status == 0 { (first, second) } else { (second, first) };
        done.succeeds();
        late.fails_with("does not exist");
        assert_eq!(container.status(), "running");
        container.delete_force().succeeds();
    });
}

#[test]
fn two_forced_deletes_at_once_are_both_content() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "forced deletes at once") {
            return;
        }
        for _ in 0..10 {
            let container = sandbox.runtime().start(&sandbox.bundle().idle());
            let delete = || sandbox.runtime().invoke(["delete", "--force", container.id()]).spawn();
            for delete in [delete(), delete(), delete()] {
                delete.wait().succeeds();
            }
        }
    });
}

#[test]
fn run_tells_how_its_program_ended_whoever_deleted_the_container() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "the exit status of a container that was deleted meanwhile") {
            return;
        }
        let bundle = sandbox.bundle().sh("echo up; while :; do sleep 1000; done");
        bundle.write();
        let id = sandbox.runtime().fresh_id();
        let mut run = sandbox.runtime().invoke(["run", "--bundle"]).arg(bundle.dir()).arg(&id).spawn();
        run.wait_for("up");
        sandbox.runtime().command(["delete", "--force", &id]).succeeds();
        assert_eq!(run.wait().status, 137);
        sandbox.assert_no_leaks();
    });
}
